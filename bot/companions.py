"""Processes of ours that do not outlive us."""

import os
import sys

# If we are killed without a chance to clean up, Linux kills them too: prctl(PR_SET_PDEATHSIG=1, SIGKILL=9). A small
# Python in between sets it and becomes the program, because preexec_fn is not safe beside threads. The second line is for a
# parent that died before the first.
_DIE_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]): os.execv(sys.argv[2], sys.argv[2:])
"""


def dying_with_us(command: list[str]) -> list[str]:
    """The command, so that on Linux its process ends when ours is killed; elsewhere as it is. Its program is a path."""
    if sys.platform != "linux":
        return command
    return [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command]
