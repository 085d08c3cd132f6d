"""How threads share the cores; imported, and settled, before any library that computes with them is loaded.

Decided here: threads that wait for each other do not wait in a loop for long. GNU's OpenMP, with which torch computes
on a CPU, lets them do so for milliseconds. Where other work has a core, the loop takes the time which the awaited
thread needs: of two processes side by side, each took 4 to 12 times as long as alone in place of twice. OpenBLAS, with
which numpy computes, has no such limit and gets one thread: for matrices as large as past runs are many, two took 3 to
7 times as long alone, and up to 450 times beside other work (benchmarks/waiting.py).
"""

import os

ROUNDS, BLAS_THREADS = "GOMP_SPINCOUNT", "OPENBLAS_NUM_THREADS"
PATIENT, HASTY = "10000", "1000"
"""Rounds of the loop before a thread sleeps. Quiet machines lose a few percent to sleeping, busy ones gain by it."""


def share_cores() -> None:
    """Lets waiting threads sleep soon, at once where half of the cores are busy already; what the user set stays."""
    try:
        busy = os.getloadavg()[0] > (os.cpu_count() or 1) / 2
    except (AttributeError, OSError):  # it is not known here
        busy = False
    os.environ.setdefault(ROUNDS, HASTY if busy else PATIENT)
    os.environ.setdefault(BLAS_THREADS, "1")
