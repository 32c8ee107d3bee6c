"""The entry point of `classmood` and `python -m bot`."""

import errno
import os
import sys

INTERRUPTED = 130
"""The exit code that a shell reports for Ctrl-C: 128 + SIGINT."""

READER_GONE = 141
"""The exit code when whatever read our output has closed the pipe: 128 + SIGPIPE."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a write to a file on a disk that has no room for it."""


def main() -> int:
    """Run one command and return its exit code."""
    try:
        # imported inside the try: it takes a while, and Ctrl-C meanwhile must not print a traceback
        from bot import cli

        code = cli.main()
        sys.stdout.flush()  # inside the try, so that a closed pipe prints no traceback either
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _leave_the_rest()  # the reader has seen enough (`| head`)
        return READER_GONE
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        _leave_the_rest()
        sys.stderr.write(f"classmood: cannot write the output: {error.strerror}\n")
        return 1


def _leave_the_rest() -> None:
    """Discard output that is still buffered, so that the flush at exit does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
