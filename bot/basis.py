"""Where the class is and on what legal basis its faces are read: unless the operator states both, nothing is read."""

from dataclasses import dataclass

from bot.basis_rules import OTHER, RuleTable, read_rules
from bot.errors import BasisMissing
from bot.settings import PREFIX, Settings

LEAST_LETTERS = 8
"""The fewest letters, in any script, that a stated purpose must have."""

LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Basis:
    """What the operator states: a place (its code, or `other:NAME`), a basis from the table, and the purpose in words."""

    jurisdiction: str
    basis: str
    purpose: str | None


def stated_basis(settings: Settings, table: RuleTable | None = None) -> Basis:
    """The basis that the settings state; raises BasisMissing, with the choices, if it is incomplete or forbidden there."""
    table = table or read_rules()
    _refuse_silence(settings, table)
    jurisdiction = jurisdiction_of(settings.jurisdiction, table)
    basis = _basis(settings.basis, table)
    _refuse_the_forbidden(basis, jurisdiction, table)
    return Basis(jurisdiction, basis, _purpose(settings.purpose, basis, jurisdiction, table))


def basis_if_stated(settings: Settings) -> Basis | None:
    """The basis that the settings state, or None if they state nothing at all; raises BasisMissing as `stated_basis` does."""
    if not (settings.jurisdiction or settings.basis or settings.purpose):
        return None
    return stated_basis(settings)


def _refuse_silence(settings: Settings, table: RuleTable) -> None:
    missing = {"jurisdiction": _choice_of_places(table), "basis": _choice_of_bases(table)}
    wanted = [f"{PREFIX}{name.upper()} ({choices})" for name, choices in missing.items() if not getattr(settings, name).strip()]
    if wanted:
        raise BasisMissing(f"nobody is read until you state {' and '.join(wanted)}; `classmood basis` explains the choices")


def _choice_of_places(table: RuleTable) -> str:
    named = ", ".join((*table.places.groups, *table.places.regions))
    return f"where the class is: a country's two letters such as US, GB, IN; {named}; or {OTHER}NAME"


def _choice_of_bases(table: RuleTable) -> str:
    return f"one of {', '.join(table.bases)}"


def jurisdiction_of(text: str, table: RuleTable) -> str:
    """The place's code, or `other:NAME`; raises BasisMissing, with the choices, for a place that the table does not know."""
    if text.strip().lower().startswith(OTHER):
        return _unlisted(text.strip()[len(OTHER) :].strip(), table)
    code = _code(text, table)
    if code not in table.places.known:
        raise BasisMissing(f"{PREFIX}JURISDICTION: {_shown(text)} is not a known place; {_choice_of_places(table)}")
    return code


def _code(text: str, table: RuleTable) -> str:
    code = text.strip().upper()
    return table.places.aliases.get(code, code)


def _unlisted(name: str, table: RuleTable) -> str:
    if not any(letter.isalpha() for letter in name):
        raise BasisMissing(f"{PREFIX}JURISDICTION: {OTHER}NAME must name the place")
    code = _code(name, table)
    if code in table.places.known or (code := table.places.called(name) or ""):
        raise BasisMissing(f"{PREFIX}JURISDICTION: {code} is a known place: state it without {OTHER}")
    return f"{OTHER}{' '.join(name.split())}"


def _basis(text: str, table: RuleTable) -> str:
    basis = text.strip().lower()
    if basis not in table.bases:
        raise BasisMissing(f"{PREFIX}BASIS: {_shown(text)} is not a known basis; {_choice_of_bases(table)}")
    return basis


def _refuse_the_forbidden(basis: str, jurisdiction: str, table: RuleTable) -> None:
    for rule in table.rules_in(jurisdiction):
        if rule.permits is not None and basis not in rule.permits:
            raise BasisMissing(
                f"{PREFIX}BASIS: {basis} is refused in {jurisdiction} by {rule.law}, {rule.article}: {rule.because}; "
                f"choices there: {_choices_left(jurisdiction, table)}; without a class, `classmood demo` needs no basis"
            )


def _choices_left(jurisdiction: str, table: RuleTable) -> str:
    wants = {basis: table.wants_purpose(basis, jurisdiction) for basis in table.permitted_in(jurisdiction)}
    return ", ".join(f"{basis} (with {PREFIX}PURPOSE)" if wanted else basis for basis, wanted in wants.items()) or "none"


def _purpose(text: str, basis: str, jurisdiction: str, table: RuleTable) -> str | None:
    purpose = " ".join(text.split())
    letters = sum(map(str.isalpha, purpose))
    if table.wants_purpose(basis, jurisdiction) and letters < LEAST_LETTERS:
        raise BasisMissing(
            f"{PREFIX}PURPOSE: {basis} must be explained in words, at least {LEAST_LETTERS} letters: {table.bases[basis].means}"
        )
    return purpose or None


def _shown(text: str) -> str:
    return repr(text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…")
