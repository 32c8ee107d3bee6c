"""Writes the documents that are generated from the event models: the schemas, and the tables in docs/events.md."""

from pathlib import Path

from bot.recordings import RecordingUnusable
from pipeline.contract_tables import TABLES
from pipeline.schemas import documents


def write_documents(folder: Path) -> list[Path]:
    """Write every document into the folder, and the tables into its events.md if it has one; returns the paths.

    Raises RecordingUnusable if a file cannot be written.
    """
    texts = dict(documents())
    page = folder / "events.md"
    if page.is_file():
        texts["events.md"] = with_tables(page.read_text())
    try:
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
    except OSError as error:
        raise RecordingUnusable(f"cannot write {error.filename}: {error.strerror}") from None
    return [folder / path for path in texts]


def with_tables(page: str) -> str:
    """The page with fresh tables between the marks `<!-- NAME: … -->` and `<!-- end of NAME -->`."""
    for name, table in TABLES.items():
        before, begin, rest = page.partition(f"<!-- {name}: ")
        if begin:
            mark, _, rest = rest.partition("-->")
            _, end, after = rest.partition(f"<!-- end of {name} -->")
            page = f"{before}{begin}{mark}-->\n{table()}{end}{after}"
    return page
