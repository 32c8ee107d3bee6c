"""The README's table of settings, generated from the settings themselves."""

from enum import Enum
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from bot.settings import PREFIX, Settings


def settings_table() -> str:
    """A Markdown table with a line per setting: variable, default, allowed values, meaning."""
    lines = ["| variable | default | allowed | what it does |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        lines.append(f"| `{PREFIX}{name.upper()}` | {_default(field.default)} | {_allowed(field)} | {field.description} |")
    return "\n".join(lines) + "\n"


def _default(value: object) -> str:
    if value is None or value == () or (isinstance(value, SecretStr) and not value.get_secret_value()) or value == "":
        return "none"
    if isinstance(value, tuple):
        return "`" + ",".join(map(str, value)) + "`"
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _allowed(field: FieldInfo) -> str:
    bounds = [_bound(limit) for limit in field.metadata]
    choices = getattr(field.annotation, "__args__", ())
    if all(isinstance(choice, str) for choice in choices) and choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    return ", ".join(filter(None, bounds)) or ("secret" if field.annotation is SecretStr else "")


def _bound(limit: Any) -> str:
    for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
        if hasattr(limit, attribute):
            return f"{sign} {getattr(limit, attribute)}"
    return f"`{limit.pattern}`" if getattr(limit, "pattern", None) else ""
