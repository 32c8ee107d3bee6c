"""The table of rules in basis_rules.toml: the bases, and which of them the law of each place permits."""

import tomllib
import unicodedata
from datetime import date
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bot.errors import BasisMissing

RULES = Path(__file__).with_name("basis_rules.toml")
EVERYWHERE = "*"
OTHER = "other:"
"""The prefix of a place that is named because it has no code."""

Codes = Annotated[tuple[str, ...], BeforeValidator(lambda text: text.split() if isinstance(text, str) else text)]
Sentence = Annotated[str, Field(min_length=8)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reason(_Entry):
    """A basis that can be stated: what it claims, and whether it must be explained in words."""

    means: Sentence
    needs_purpose: bool = False


class Rule(_Entry):
    """What one law says in some places; `permits` lists the only bases that it allows, or is None if it forbids none."""

    places: tuple[str, ...] = Field(min_length=1)
    law: Sentence
    article: Sentence
    since: date
    checked: date
    source: str = Field(pattern="^https://")
    says: Sentence
    permits: tuple[str, ...] | None = None
    because: Sentence | None = None
    needs_purpose: tuple[str, ...] = ()
    duty: Sentence

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if (self.permits is None) != (self.because is None):
            raise ValueError("permits and because go together")
        return self


class Places(_Entry):
    """The places that can be named."""

    countries: Codes
    regions: tuple[str, ...]
    aliases: dict[str, str]
    groups: dict[str, Codes]
    names: dict[str, tuple[str, ...]]

    @property
    def known(self) -> set[str]:
        """Every code that stands for a place."""
        return {*self.countries, *self.regions, *self.groups}

    def around(self, code: str) -> set[str]:
        """The places whose rules apply in this one: itself, its country, and every group that contains it or lies within it."""
        here = {code, code.partition("-")[0]}
        around = {name for name in self.groups if here & self._within(name) or name in self._within(code)}
        return here | around | {EVERYWHERE}

    def called(self, text: str) -> str | None:
        """The code of a place that the text mentions by one of its `names`, or None."""
        words = f" {_in_plain_words(text)} "
        return next(
            (code for code, names in self.names.items() if any(f" {_in_plain_words(each)} " in words for each in names)), None
        )

    def with_members(self, place: str) -> set[str]:
        """The place and everything within it."""
        return {place, *self._within(place)}

    def _within(self, name: str) -> set[str]:
        """The members of a group and, in turn, their members; empty for a place that is not a group."""
        members = self.groups.get(name, ())
        return {*members}.union(*map(self._within, members))


class RuleTable(_Entry):
    """Everything in the file, checked to fit together."""

    checked: date
    bases: dict[str, Reason] = Field(min_length=1)
    rules: tuple[Rule, ...] = Field(min_length=1)
    places: Places

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        named = (
            {place for rule in self.rules for place in rule.places} | set(self.places.aliases.values()) | set(self.places.names)
        )
        members = {member for group in self.places.groups.values() for member in group}
        if unknown := (named | members) - self.places.known - {EVERYWHERE}:
            raise ValueError(f"no such places: {', '.join(sorted(unknown))}")
        if unknown := {basis for rule in self.rules for basis in (*(rule.permits or ()), *rule.needs_purpose)} - set(self.bases):
            raise ValueError(f"no such bases: {', '.join(sorted(unknown))}")
        strict = {place for rule in self.rules if rule.permits is not None for place in rule.places} - {EVERYWHERE}
        if nameless := set().union(*map(self.places.with_members, strict)) - set(self.places.names):
            raise ValueError(f"something is forbidden in places without names: {', '.join(sorted(nameless))}")
        return self

    def rules_in(self, jurisdiction: str) -> list[Rule]:
        """The rules that apply in a place."""
        around = self.places.around(jurisdiction)
        return [rule for rule in self.rules if around & set(rule.places)]

    def permitted_in(self, jurisdiction: str) -> list[str]:
        """The bases that no rule of the place forbids."""
        rules = self.rules_in(jurisdiction)
        return [basis for basis in self.bases if all(rule.permits is None or basis in rule.permits for rule in rules)]

    def wants_purpose(self, basis: str, jurisdiction: str) -> bool:
        """Whether the basis must be explained in words there."""
        return self.bases[basis].needs_purpose or any(basis in rule.needs_purpose for rule in self.rules_in(jurisdiction))


def _in_plain_words(text: str) -> str:
    """A text in lower case, without accents and punctuation, with single spaces between its words."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    letters = (each if unicodedata.category(each)[0] in "LN" else " " for each in plain if not unicodedata.combining(each))
    return " ".join("".join(letters).split())


def read_rules(path: Path = RULES) -> RuleTable:
    """The table; raises BasisMissing if it cannot be read or contradicts itself, so that nothing is permitted by accident."""
    try:
        return RuleTable.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BasisMissing(f"the table of legal bases cannot be read: {path}: {error}") from None
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        where = ".".join(map(str, wrong["loc"])) or "as a whole"
        raise BasisMissing(f"the table of legal bases cannot be used: {path}, {where}: {wrong['msg']}") from None
