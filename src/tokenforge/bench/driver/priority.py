"""How the kernel schedules a driver process: ahead of others where it may, so that a busy machine does not delay sends.

A load generator sleeps most of the time and must wake when a request is due, not when an engine's threads pause. Real
time with the lowest priority gives that; without the right to it (root, CAP_SYS_NICE, an rtprio limit) a better nice
value helps a little. What was got is told and recorded, since it is part of the instrument.
"""

import ctypes
import os

REAL_TIME, NORMAL = "real time", "normal"
_LOWEST_REAL_TIME = 1
_NICE = -10
_PR_SET_TIMERSLACK = 29


def take_priority() -> str:
    """Take the best of real time, a nice value of -10, and what it was; returns which. Children start as normal."""
    try:
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(_LOWEST_REAL_TIME))
    except OSError:
        return _take_nice()
    return REAL_TIME


def wake_sharply() -> None:
    """Have the kernel end this thread's sleeps on time: by default it adds up to 50 us, except to real-time threads."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def _take_nice() -> str:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    except OSError:
        return NORMAL
    return f"nice {_NICE}"
