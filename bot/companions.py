"""Child processes that end when ours does."""

import os
import sys

# If we are killed without a chance to clean up, Linux kills the child too: prctl(PR_SET_PDEATHSIG=1, SIGKILL=9). A small
# Python program calls it and then replaces itself by the command, because preexec_fn is not safe beside threads. The check of
# getppid covers a parent that died before that call.
_DIE_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]): os.execv(sys.argv[2], sys.argv[2:])
"""


def dying_with_us(command: list[str]) -> list[str]:
    """The command, wrapped so that on Linux its process dies when ours does; unchanged elsewhere.

    Its first element must be the path of the program, as PATH is not searched.
    """
    if sys.platform != "linux":
        return command
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
