"""What a disk that takes no more comes to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import ModelUnusable


@contextmanager
def disk_told(out: Path) -> Iterator[None]:
    """Tell of a disk that takes no more, or of a place that none can be written to, in one line; raises ModelUnusable."""
    try:
        yield
    except OSError as error:
        raise ModelUnusable(f"{out} cannot be written to: {error.strerror or error}") from error
