"""Nobody is read until it is stated where and on what basis, and a basis that the law forbids cannot be stated."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.basis import Basis, basis_if_stated, stated_basis
from bot.basis_rules import RULES, RuleTable, read_rules
from bot.cli import main
from bot.errors import BasisMissing
from bot.settings import PREFIX, Settings, read_settings
from tests.commands import ROOT

TABLE = read_rules()
MEMBERS = set(re.findall("..", "ATBEBGCYCZDEDKEEESFIFRGRHRHUIEITLTLULVMTNLPLPTROSESISK"))
OUTERMOST = {"AX", "GF", "GP", "MF", "MQ", "RE", "YT"}
SETTINGS = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings takes it
REASON = "seizures are seen before they happen"


@pytest.fixture(autouse=True)
def nothing_is_stated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # away from any .env
    for name in ("JURISDICTION", "BASIS", "PURPOSE"):
        monkeypatch.delenv(PREFIX + name, raising=False)


def stated(jurisdiction: str = "", basis: str = "", purpose: str = "") -> Basis:
    given = {"jurisdiction": jurisdiction, "basis": basis, "purpose": purpose}
    return stated_basis(SETTINGS.model_copy(update=given), TABLE)


def refusal(jurisdiction: str = "", basis: str = "", purpose: str = "") -> str:
    """The one line that says why it was refused."""
    with pytest.raises(BasisMissing) as refused:
        stated(jurisdiction, basis, purpose)
    line = str(refused.value)
    assert line.isprintable(), "more than one line"
    return line


def test_silence_is_refused_with_the_names_of_both_settings_and_every_choice() -> None:
    line = refusal()
    assert "CLASSMOOD_JURISDICTION" in line and "CLASSMOOD_BASIS" in line and "CLASSMOOD_PURPOSE" not in line
    assert all(choice in line for choice in (*TABLE.bases, *TABLE.places.groups, "two letters", "other:NAME"))


def test_half_a_statement_is_refused_for_the_other_half_alone() -> None:
    assert "CLASSMOOD_BASIS" in refusal(jurisdiction="US") and "CLASSMOOD_JURISDICTION" not in refusal(jurisdiction="US")
    assert "CLASSMOOD_BASIS" not in refusal(basis="consent")
    assert "CLASSMOOD_JURISDICTION" in refusal(jurisdiction="  ", basis="consent")


@pytest.mark.parametrize("place", [*sorted(MEMBERS), "IS", "LI", "NO", "EU", "EEA", "RE", "AX", "EL"])
def test_the_union_and_the_economic_area_permit_a_medical_or_a_safety_reason_alone(place: str) -> None:
    for basis in TABLE.bases:
        if basis in ("medical", "safety"):
            assert stated(place, basis, REASON).purpose == REASON
        else:
            line = refusal(place, basis, REASON)
            assert "Artificial Intelligence Act" in line and "Article 5(1)(f)" in line
            assert "medical (with CLASSMOOD_PURPOSE), safety (with CLASSMOOD_PURPOSE)" in line


def test_the_groups_have_the_members_that_they_should() -> None:
    within = {code for code in TABLE.places.countries if "EU" in TABLE.places.around(code)}
    assert within == MEMBERS | OUTERMOST
    outside = ("GB", "CH", "TR", "UA", "GL", "FO", "SJ", "US")
    assert all("EEA" in TABLE.places.around(code) for code in ("IS", "LI", "NO", "DE", "EU"))
    assert not any("EEA" in TABLE.places.around(code) for code in outside)


@pytest.mark.parametrize("purpose", ["", "   ", "12345678", "safety", "............"])
@pytest.mark.parametrize(("place", "basis"), [("DE", "medical"), ("US", "safety"), ("JP", "research")])
def test_a_reason_that_must_be_explained_is_refused_without_words(place: str, basis: str, purpose: str) -> None:
    assert refusal(place, basis, purpose).startswith(f"CLASSMOOD_PURPOSE: {basis} must be explained in words")


def test_a_purpose_in_any_script_becomes_one_line_and_is_kept() -> None:
    assert stated("DE", "medical", " epilepsy \n ward, \t Freiburg ").purpose == "epilepsy ward, Freiburg"
    assert stated("JP", "medical", "てんかん発作の早期発見").purpose == "てんかん発作の早期発見"
    assert stated("US", "consent").purpose is None


def test_children_in_india_are_not_monitored_on_a_parents_word() -> None:
    assert "section 9(1) and (3)" in refusal("IN", "parental_consent", REASON)
    assert stated("IN", "consent").basis == "consent" and stated("IN", "safety", REASON).basis == "safety"


def test_the_united_states_and_their_regions_permit_consent_and_a_parents_consent() -> None:
    for place in ("US", "US-IL"):
        assert stated(place, "consent").jurisdiction == place
        assert stated(place, "parental_consent").basis == "parental_consent"
    assert {rule.article for rule in TABLE.rules_in("US-IL")} > {rule.article for rule in TABLE.rules_in("US")}


@pytest.mark.parametrize(
    ("text", "code"),
    [("us", "US"), (" gb ", "GB"), ("UK", "GB"), ("usa", "US"), ("us-il", "US-IL"), ("Other:  Far Away", "other:Far Away")],
)
def test_a_place_is_known_by_any_spelling_of_its_code(text: str, code: str) -> None:
    assert stated(text, " Consent ") == Basis(code, "consent", None)


@pytest.mark.parametrize("text", ["XX", "Germany", "D", "US-XX", "*", "other", "U S", "x" * 100, "🏫", "de\nfr", "\x1b[2J"])
def test_an_unknown_place_is_refused_with_the_choices(text: str) -> None:
    line = refusal(text, "consent")
    assert line.startswith("CLASSMOOD_JURISDICTION: ") and "other:NAME" in line and len(line) < 300


@pytest.mark.parametrize(
    "text", ["other:", "other: 7", "other:DE", "other: uk", "other:Germany", "other:osterreich (Wien)", "other:FRA", "other:भारत"]
)
def test_a_place_without_a_code_must_name_itself_and_be_none_that_has_one(text: str) -> None:
    assert refusal(text, "consent").startswith("CLASSMOOD_JURISDICTION: ")


@pytest.mark.parametrize("text", ["consents", "none", "yes", "consent,safety", "legitimate interest"])
def test_an_unknown_basis_is_refused_with_the_choices(text: str) -> None:
    line = refusal("US", text)
    assert line.startswith("CLASSMOOD_BASIS: ") and all(choice in line for choice in TABLE.bases)


words = st.text(max_size=60)


@settings(max_examples=25, deadline=None)
@given(jurisdiction=words | st.sampled_from(TABLE.places.countries), basis=words | st.sampled_from([*TABLE.bases]), purpose=words)
def test_whatever_is_stated_holds_or_is_refused_in_one_line(jurisdiction: str, basis: str, purpose: str) -> None:
    try:
        found = stated(jurisdiction, basis, purpose)
    except BasisMissing as refused:
        assert str(refused).isprintable() and len(str(refused)) < 900
    else:
        assert found.basis in TABLE.permitted_in(found.jurisdiction)


def test_nothing_stated_is_no_basis_and_half_of_one_is_trouble() -> None:
    assert basis_if_stated(read_settings()) is None
    assert basis_if_stated(read_settings(jurisdiction="US", basis="consent")) == Basis("US", "consent", None)
    with pytest.raises(BasisMissing):
        basis_if_stated(read_settings(purpose=REASON))


def test_the_table_has_every_country_and_a_source_and_a_date_for_each_rule() -> None:
    assert len(TABLE.places.countries) == len(set(TABLE.places.countries)) == 249
    assert all(len(code) == 2 and code.isalpha() and code.isupper() for code in TABLE.places.countries)
    assert all(rule.source.startswith("https://") and rule.checked <= TABLE.checked for rule in TABLE.rules)


@pytest.mark.parametrize(
    ("line", "instead", "complaint"),
    [
        ('places = ["IN"]', 'places = ["INDIA"]', "no such places: INDIA"),
        ('permits = ["medical", "safety"]', 'permits = ["medical", "safty"]', "no such bases: safty"),
        ("since = 2025-02-02", "", "since"),
        ("because = ", "# ", "permits and because go together"),
        ('source = "https', 'source = "file', "source"),
        ("checked = 2026", "seen = 2026", "checked"),
        ("[bases.safety]", "[bases.safety", "cannot be read"),
        ("[places.groups]", "[groups]", "groups"),
    ],
)
def test_a_table_that_is_not_whole_permits_nothing(tmp_path: Path, line: str, instead: str, complaint: str) -> None:
    table, text = tmp_path / "rules.toml", RULES.read_text()
    assert line in text
    table.write_text(text.replace(line, instead, 1))
    with pytest.raises(BasisMissing, match=complaint) as refused:
        read_rules(table)
    assert str(table) in str(refused.value) and str(refused.value).isprintable()


def test_a_table_that_is_not_there_or_no_text_permits_nothing(tmp_path: Path) -> None:
    with pytest.raises(BasisMissing, match="No such file"):
        read_rules(tmp_path / "none.toml")
    (tmp_path / "rules.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BasisMissing, match="cannot be read"):
        read_rules(tmp_path / "rules.toml")


@pytest.mark.parametrize("url", ["local://algebra", "janus://127.0.0.1:1/1", "no room at all"])
def test_join_refuses_before_it_looks_at_anything_else(capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert main(["join", url, "--weights", "nowhere", "--redis-url", "redis://127.0.0.1:1"]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("classmood: nobody is read until you state ") and err.count("\n") == 1


def test_everyone_is_not_read_without_a_basis_either(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["join", "local://algebra", "--consent", "everyone"]) == 2
    assert "nobody is read until you state" in capsys.readouterr().err


def test_a_forbidden_basis_is_refused_by_join_with_its_article(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["join", "local://algebra", "--jurisdiction", "fr", "--basis", "consent"]) == 2
    assert "consent is refused in FR by Artificial Intelligence Act" in capsys.readouterr().err


def test_the_command_shows_the_whole_table_and_what_a_place_permits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["basis", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert RuleTable.model_validate(tomllib.loads(RULES.read_text())).bases.keys() == whole["bases"].keys()
    assert whole["jurisdiction"] is None and len(whole["rules"]) == len(TABLE.rules)
    assert main(["basis", "--json", "--jurisdiction", "se"]) == 0
    sweden = json.loads(capsys.readouterr().out)
    assert {name for name, basis in sweden["bases"].items() if basis["permitted"]} == {"medical", "safety"}
    assert sweden["jurisdiction"] == "SE" and all(set(rule["places"]) & {"EEA", "EU"} for rule in sweden["rules"])


def test_the_command_tells_a_person_what_each_basis_claims(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["basis", "--jurisdiction", "GB"]) == 0
    told = capsys.readouterr().out
    assert "none of this is legal advice" in told
    assert all(basis in told for basis in TABLE.bases) and "Information Commissioner" in told and "REFUSED" not in told
    assert main(["basis", "--jurisdiction", "Atlantis"]) == 2
    assert "'Atlantis' is not a known place" in capsys.readouterr().err


def test_the_page_about_the_law_shows_the_same_rules_and_their_date(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "law.md").read_text()
    assert main(["basis", "--markdown"]) == 0
    table = capsys.readouterr().out
    assert f"-->\n{table}<!-- end of rules -->" in page and table.count("\n") == len(TABLE.rules) + 2
    assert f"{TABLE.checked.day} {TABLE.checked:%B %Y}" in page and "Nothing here is legal advice." in page
    titles = {re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^## (.+)$", page, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) == titles
