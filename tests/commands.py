"""Commands run as a user runs them: processes of their own, each in a folder of its own, by which they are recognised."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
BASIS = {"CLASSMOOD_JURISDICTION": "US", "CLASSMOOD_BASIS": "consent"}
"""What must be stated before a command joins a room."""


def environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command with a stated basis and those settings; its temporary folders are in `folder`/tmp."""
    (folder / "tmp").mkdir(exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLASSMOOD_")}
    # the command runs in another folder, which has no .env
    return {**inherited, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp"), **BASIS, **settings}


class Running:
    """A command that runs; its output goes to files, so that it never waits for a reader."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, number: int) -> None:
        self._process = process
        self._out, self._err = _outputs(folder, number)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def out(self) -> str:
        """Its standard output so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """Its standard error so far."""
        return self._err.read_text()

    def until_it_says(self, text: str) -> None:
        """Wait for a text on standard error."""
        until(lambda: text in self.err or self._process.poll() is not None)
        assert text in self.err, self.err

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the process, or, as a terminal does, to its whole process group."""
        if group:
            os.killpg(self._process.pid, number)
        else:
            self._process.send_signal(number)

    def exit_code(self, seconds: float = 30) -> int:
        """Wait until it ends."""
        return self._process.wait(seconds)


@contextmanager
def started(folder: Path, *arguments: str, **settings: str) -> Iterator[Running]:
    """Run a command in `folder` while the block runs; what is left of it afterwards is killed."""
    number = sum(1 for _ in folder.glob("*.err"))
    out, err = _outputs(folder, number)
    command = [sys.executable, "-m", "bot", *arguments]
    with out.open("wb") as to_out, err.open("wb") as to_err:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(folder, settings),
            stdin=subprocess.DEVNULL,
            stdout=to_out,
            stderr=to_err,
            start_new_session=True,
            preexec_fn=_hear_ctrl_c,
        )
    try:
        yield Running(process, folder, number)
    finally:
        process.kill()
        process.wait()


def ended(folder: Path, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command that ends by itself."""
    with started(folder, *arguments, **settings) as command:
        code = command.exit_code()
        return code, command.out, command.err


def left_in(folder: Path) -> list[int]:
    """The ids of the processes that work in `folder` or a folder within it; Linux only.

    Servers that a command started count too: they inherit its folder or work in its temporary one.
    """
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _works_in(entry, folder)]


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something that another process brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def _hear_ctrl_c() -> None:
    # a shell that runs the tests in the background has made everything that they start ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _outputs(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"{number}.out", folder / f"{number}.err"


def _works_in(entry: Path, folder: Path) -> bool:
    try:
        # a folder that was deleted has " (deleted)" after its name
        place = str((entry / "cwd").readlink())
    except OSError:  # it has ended meanwhile, or belongs to another user
        return False
    return place == str(folder) or place.startswith(f"{folder}/")
