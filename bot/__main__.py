"""Where `classmood` and `python -m bot` begin."""

import os
import sys

INTERRUPTED = 130
"""The exit code of a shell's Ctrl-C: 128 and SIGINT."""

READER_GONE = 141
"""That of a program whose reader is gone: 128 and SIGPIPE."""


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
        # whoever read the output has seen enough (`| head`); what is left of it must not fail once more at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE


if __name__ == "__main__":
    sys.exit(main())
