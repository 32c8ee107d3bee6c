"""Which of our threads has to wait when the machine is too busy for all of them."""

import os
import sys
import threading

NICENESS = 5
"""A nice value, 19 being the lowest priority; with 5, a thread gets a third of the time of one with 0 (sched(7))."""


def give_way() -> None:
    """Let the calling thread wait for the others: a look may come late, but a packet that is taken late is lost."""
    if sys.platform == "linux":  # elsewhere the whole process would give way
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
