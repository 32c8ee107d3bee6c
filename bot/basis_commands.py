"""The command `basis`, which prints what can be stated as the basis for reading faces."""

import argparse
import json
from collections.abc import Callable
from typing import Any

from bot.basis import jurisdiction_of
from bot.basis_rules import RuleTable, read_rules
from bot.settings import PREFIX, Settings


def add_basis_command(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add `basis` to the parser's commands."""
    summary = "list what can be stated as the basis for reading faces, and what the law of a place (--jurisdiction) permits"
    parser = command(commands, "basis", _basis, summary)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--markdown", action="store_true", help="print the table of rules, as in docs/law.md")


def _basis(arguments: argparse.Namespace, settings: Settings) -> None:
    table = read_rules()
    place = jurisdiction_of(settings.jurisdiction, table) if settings.jurisdiction.strip() else None
    choices = as_json(table, place)
    shown = json.dumps(choices) if arguments.json else as_markdown(table) if arguments.markdown else in_words(choices)
    print(shown, flush=True)


def as_json(table: RuleTable, place: str | None) -> dict[str, Any]:
    """The table, or the part of it that applies in one place, ready for JSON."""
    permitted = list(table.bases) if place is None else table.permitted_in(place)
    rules = table.rules if place is None else table.rules_in(place)
    return {
        "checked": table.checked.isoformat(),
        "jurisdiction": place,
        "bases": {
            name: {
                "means": reason.means,
                "permitted": name in permitted,
                "needs_purpose": reason.needs_purpose if place is None else table.wants_purpose(name, place),
            }
            for name, reason in table.bases.items()
        },
        "rules": [rule.model_dump(mode="json") for rule in rules],
        "places": table.places.model_dump(mode="json"),
    }


def as_markdown(table: RuleTable) -> str:
    """The rules as a Markdown table, one line each."""
    lines = ["| where | law | since | what it says | may be stated | what you must do |", "|---|---|---|---|---|---|"]
    for rule in table.rules:
        permits = "anything" if rule.permits is None else ", ".join(f"`{basis}`" for basis in rule.permits)
        law = f"[{rule.law}]({rule.source}), {rule.article}"
        lines.append(f"| {', '.join(rule.places)} | {law} | {rule.since} | {rule.says} | {permits} | {rule.duty} |")
    return "\n".join(lines)


def in_words(choices: dict[str, Any]) -> str:
    """The result of `as_json` as text for people, with every basis and every rule."""
    place = choices["jurisdiction"]
    lines = [f"{PREFIX}BASIS{f' in {place}' if place else ''}, as of {choices['checked']}; none of this is legal advice:"]
    lines += [_basis_line(name, basis) for name, basis in choices["bases"].items()]
    lines += ["", f"{PREFIX}JURISDICTION: a country's two letters (ISO 3166-1), {_more_places(choices['places'])}, or other:NAME"]
    lines += ["", "What the law says:", *(_rule_lines(rule) for rule in choices["rules"])]
    return "\n".join(lines)


def _basis_line(name: str, basis: dict[str, Any]) -> str:
    if not basis["permitted"]:
        return f"  {name}: REFUSED there"
    return f"  {name}: {basis['means']}{f' ({PREFIX}PURPOSE explains it)' if basis['needs_purpose'] else ''}"


def _more_places(places: dict[str, Any]) -> str:
    return ", ".join((*places["groups"], *places["regions"]))


def _rule_lines(rule: dict[str, Any]) -> str:
    only = f"\n    permits only {', '.join(rule['permits'])}" if rule["permits"] is not None else ""
    head = f"  {', '.join(rule['places'])}: {rule['law']}, {rule['article']} (since {rule['since']})"
    return f"{head}\n    {rule['says']}{only}\n    {rule['source']}"
