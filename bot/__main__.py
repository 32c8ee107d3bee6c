"""Where `classmood` and `python -m bot` begin."""

import errno
import os
import sys

INTERRUPTED = 130
"""The exit code of a shell's Ctrl-C: 128 and SIGINT."""

READER_GONE = 141
"""That of a program whose reader is gone: 128 and SIGPIPE."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a write comes to where results go to a file on a disk that takes no more."""


def main() -> int:
    """Run one command and return its exit code."""
    try:
        # here, because it takes a while, in which Ctrl-C is no reason for a traceback
        from bot import cli

        code = cli.main()
        sys.stdout.flush()  # here, where a reader who is gone is no traceback either
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _leave_the_rest()  # whoever read the output has seen enough (`| head`)
        return READER_GONE
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        _leave_the_rest()
        sys.stderr.write(f"classmood: cannot write the output: {error.strerror}\n")
        return 1


def _leave_the_rest() -> None:
    """What is left of the output must not fail once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
