"""How long OpenMP's threads spin while they wait for work. ``import impasto`` settles it, before torch loads OpenMP.

Of its own accord GNU's OpenMP spins for milliseconds, LLVM's and Intel's for 200. Two threads that spin beside any
other job keep each other from two cores: a run took 2.6 times as long as on an idle machine. With some ten
microseconds it takes 1.8 times, and on the idle machine no longer than before; without any spinning
(``OMP_WAIT_POLICY=passive``) it takes a quarter longer there. The pictures have the same bytes.
"""

from __future__ import annotations

import os
import sys

#: Turns of a loop, some ten microseconds, for GNU's; for LLVM's and Intel's a millisecond, the least that all their
#: versions understand. None minds what is for the others.
BRIEFLY = {"GOMP_SPINCOUNT": "3000", "KMP_BLOCKTIME": "1"}
#: Nothing is set where one of these is: somebody has thought about it.
VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")


def _settle() -> str:
    """Set the variables, unless that is the user's choice or too late, and say what holds now."""
    given = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    late = "torch" in sys.modules  # OpenMP has read the environment; only children would still see a change.
    if given == BRIEFLY:  # By this process, or by one that started it.
        return "spins briefly (set by impasto)"
    if given:
        values = " ".join(f"{name}={value}" for name, value in given.items())
        return f"{values} (set by you{'; in force if before torch was loaded' if late else ''})"
    if late:
        return "spins as it likes (impasto came too late: torch was loaded first)"
    os.environ.update(BRIEFLY)
    return "spins briefly (set by impasto)"


#: What holds in this process, in words.
POLICY = _settle()
