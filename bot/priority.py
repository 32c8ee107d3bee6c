"""Which of our threads waits when there is not enough of the machine for all of them."""

import os
import sys
import threading

NICENESS = 5
"""Of 19: a thread with it gets a third of what another one gets where both want a core (sched(7))."""


def give_way() -> None:
    """Let the calling thread wait for the others: a picture that is looked at late is late, a packet taken late is lost."""
    if sys.platform == "linux":  # elsewhere the whole process would give way
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
