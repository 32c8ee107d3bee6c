"""The page about the classifier: made by one command, and about the weights that are shipped."""

import json
from pathlib import Path

import pytest

from bot.cli import main
from bot.model_card import TEMPLATE
from model.card import SHIPPED_WEIGHTS, read_card
from tests.squares import portrait_squares
from tests.synthetic import synthetic_split, write_fer2013_csv, write_split

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "model-card.md"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out like FER-2013's, with a face that can be found."""
    folder = tmp_path_factory.mktemp("data")
    write_split(synthetic_split(40), folder, "training")
    write_split(portrait_squares(8), folder, "public-test")
    return folder


@pytest.fixture(scope="module")
def page(data: Path) -> str:
    """The page about the shipped weights, measured on that face."""
    assert main(["model-card", "--data", str(data), "--out", str(data / "card.md")]) == 0
    return (data / "card.md").read_text()


def test_the_page_in_the_documentation_is_about_the_shipped_weights() -> None:
    card, told = read_card(SHIPPED_WEIGHTS / "emotion"), PAGE.read_text()
    accuracy, error = card.figures["accuracy"], card.figures["ece"]
    assert isinstance(accuracy, float) and isinstance(error, float)
    assert told.startswith(f"# Model card: {card.name}\n"), "write it anew: classmood model-card"
    assert f"| accuracy | {accuracy * 100:.1f} % |" in told
    assert f"| expected calibration error, 15 bins | {error:.3f} |" in told
    fixed = [line for line in TEMPLATE.read_text().splitlines() if line.startswith(("#", "|")) and "{" not in line]
    assert len(fixed) > 20 and set(fixed) <= set(told.splitlines()), "written before the page was changed"


@pytest.mark.parametrize("picture", ["confusion", "reliability", "risk-coverage"])
def test_every_picture_of_the_page_is_there(picture: str) -> None:
    assert f"](model/{picture}.png)" in PAGE.read_text()
    assert (PAGE.parent / "model" / f"{picture}.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_tells_what_was_measured_and_draws_it(page: str, data: Path) -> None:
    assert "the Training split, 40 faces" in page and "PublicTest, 8 faces, of which 0 are also in Training" in page
    assert "The detector finds 100.0 % of the squares" in page
    assert sorted(path.name for path in (data / "model").iterdir()) == ["confusion.png", "reliability.png", "risk-coverage.png"]
    for blank in ("|\n#", "|\n```", "```\n|", "\n\n\n\n"):
        assert blank not in page


@pytest.mark.slow
def test_the_well_known_csv_is_described_as_the_mosaics_are(page: str, data: Path, tmp_path: Path) -> None:
    path = write_fer2013_csv(tmp_path / "fer2013.csv", data)
    assert main(["model-card", "--data", str(path), "--out", str(tmp_path / "card.md")]) == 0
    accuracy = next(line for line in page.splitlines() if line.startswith("| accuracy |"))
    described = (tmp_path / "card.md").read_text()
    assert accuracy in described
    # there are no votes in that file
    assert "FER+ crowd saw fear" in page and "FER+ crowd saw fear" not in described


def test_a_page_that_could_not_be_written_is_told_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: Path
) -> None:
    assert main(["model-card", "--data", str(data), "--out", str(tmp_path)]) == 3
    assert capsys.readouterr().err.endswith(f"{tmp_path} cannot be written to: it is a folder\n")
    assert not (tmp_path.parent / "model").exists()


def test_what_the_card_does_not_say_the_page_says_so(page: str) -> None:
    calibrated = read_card(SHIPPED_WEIGHTS / "emotion").calibration is not None
    assert ("**not calibrated**" in page) is not calibrated


@pytest.mark.slow
def test_figures_that_were_printed_are_used_again(
    page: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ("--pixels", str(data / "public-test.png"), "--labels", str(data / "public-test.csv"))
    assert main(["evaluate", *files, "--training", str(data / "training.png"), "--robustness", "--json"]) == 0
    figures = tmp_path / "figures.json"
    figures.write_text(capsys.readouterr().out)
    assert main(["model-card", "--data", str(data), "--out", str(tmp_path / "card.md"), "--figures", str(figures)]) == 0
    assert (tmp_path / "card.md").read_text() == page
    # a figure that differs is reported
    found = json.loads(figures.read_text()) | {"macro_f1": 0.123456}
    figures.write_text(json.dumps(found))
    main(["model-card", "--data", str(data), "--out", str(tmp_path / "card.md"), "--figures", str(figures)])
    assert "| macro-F1 | 0.123 |" in (tmp_path / "card.md").read_text()
    figures.write_text(json.dumps({name: value for name, value in found.items() if name != "per_class"}))
    assert main(["model-card", "--data", str(data), "--out", str(tmp_path / "card.md"), "--figures", str(figures)]) == 3
    assert "the figures are incomplete or wrong: KeyError('per_class')" in capsys.readouterr().err
    figures.write_text(json.dumps(found | {"accuracy": "x"}))
    assert main(["model-card", "--data", str(data), "--out", str(tmp_path / "card.md"), "--figures", str(figures)]) == 3
    assert "the figures are incomplete or wrong: ValueError(" in capsys.readouterr().err
    figures.write_text(json.dumps(found | {"model": "other@1"}))
    assert main(["model-card", "--data", str(data), "--out", str(tmp_path / "card.md"), "--figures", str(figures)]) == 3
    assert "the figures are of other@1, not of" in capsys.readouterr().err
    for name, wrong, complaint in (
        ("split", "0123456789abcdef", "the figures were measured on other faces than those of the data"),
        ("repeats", 3, "the figures were measured with other faces to train on than those of the data"),
        ("confusion", [[1]], "the figures have no confusion of the 7 emotions"),
    ):
        figures.write_text(json.dumps(found | {name: wrong}))
        assert main(["model-card", "--data", str(data), "--out", str(tmp_path / "card.md"), "--figures", str(figures)]) == 3
        assert complaint in capsys.readouterr().err


NO_FIGURES = {None: "cannot be read", "{": "is not JSON", '{"n": 3}': "is not what evaluate --robustness", "[]": "is not what"}


@pytest.mark.parametrize(("content", "complaint"), NO_FIGURES.items())
def test_figures_of_something_else_are_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, complaint: str
) -> None:
    figures = tmp_path / "figures.json"
    if content is not None:
        figures.write_text(content)
    assert main(["model-card", "--data", str(data), "--out", str(tmp_path / "card.md"), "--figures", str(figures)]) == 3
    (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("classmood: ")]
    assert str(figures) in line and complaint in line
    assert not (tmp_path / "card.md").exists()


def test_data_without_a_face_make_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("training", 1), ("public-test", 2)):
        write_split(synthetic_split(3, seed), tmp_path, name)
    assert main(["model-card", "--data", str(tmp_path), "--out", str(tmp_path / "card.md")]) == 3
    assert "the detector finds no face in the data" in capsys.readouterr().err
