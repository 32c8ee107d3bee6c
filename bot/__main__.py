"""Where `classmood` and `python -m bot` begin."""

import sys

INTERRUPTED = 130
"""The exit code of a shell's Ctrl-C: 128 and SIGINT."""


def main() -> int:
    """Run one command and return its exit code."""
    try:
        # here, because it takes a while, in which Ctrl-C is no reason for a traceback
        from bot import cli

        return cli.main()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
