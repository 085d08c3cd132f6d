"""Where the runs of a study are made: processes of this machine, or a Ray cluster.

Decided here: both are executors of `concurrent.futures`. On this machine workers times threads never go beyond the
cores; by default each has one thread, and where the workers alone are named, the cores are shared out among them. A
driver that is told to stop has its workers stop, too, each with a checkpoint. On a cluster a run whose node is lost is
begun again elsewhere.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from engine.base.errors import InputError
from engine.base.machine import cores

TRIES = 3
"""How often Ray begins a run whose node was lost."""


@dataclass(frozen=True)
class Place:
    """An executor that can be made anew, and how many runs it makes at once."""

    make: Callable[[], Executor]
    slots: int


def local(workers: int | None = None, threads: int | None = None) -> Place:
    """Processes of this machine.

    Args:
        workers: How many. Default: as many as there are cores for their threads.
        threads: Of each. Default: one; with `workers`, as many as they leave each other.

    Raises:
        InputError: Together they are more than there are cores.
    """
    threads = threads or max(1, cores() // workers if workers else 1)
    workers = workers or max(1, cores() // threads)
    if workers * threads > cores():
        what = "more threads than cores make all of them slower"
        got = f"{workers} × {threads}"
        raise InputError.of("--processes × --threads", what, got, (f"at most {cores()} together",))
    return Place(partial(LocalExecutor, workers, threads), workers)


class LocalExecutor(ProcessPoolExecutor):
    """Processes of this machine, which stop when the driver leaves them, and end when it was killed.

    Args:
        threads: Of each.
    """

    def __init__(self, workers: int, threads: int):
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        heard, self._said = context.Pipe(duplex=False)
        super().__init__(workers, mp_context=context, initializer=_begin, initargs=(threads, heard))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Begins a call as soon as a worker is free."""
        return super().submit(_work, fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Waits for the calls under way, or has them stop."""
        if not wait:
            self._said.close()
        super().shutdown(wait, cancel_futures=cancel_futures)


_at_work = threading.Event()
"""Set in a worker while it makes a run."""


def _work(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    _at_work.set()
    try:
        return fn(*args, **kwargs)
    finally:
        _at_work.clear()


def _begin(threads: int, heard: Connection) -> None:
    """In a worker: its threads, and what it does when its driver leaves it."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
    threading.Thread(target=_stop_with_driver, args=(heard,), daemon=True).start()


def _stop_with_driver(heard: Connection) -> None:
    """Stops the run under way as Ctrl-C does, which a terminal has perhaps told it already; ends after a kill."""
    from engine.training.state import interrupted  # loads torch

    driver = multiprocessing.parent_process()
    assert driver is not None
    wait([driver.sentinel, heard])
    if driver.is_alive() and _at_work.is_set() and not interrupted():
        os.kill(os.getpid(), signal.SIGINT)
    driver.join()
    os._exit(1)


class RayExecutor(Executor):
    """Runs functions on a Ray cluster.

    Args:
        address: Of the cluster; `local` for one on this machine alone.
        cpus: That each call takes.
        gpus: The same; a fraction shares one.
    """

    def __init__(self, address: str, cpus: float, gpus: float):
        try:
            import ray
        except ImportError as error:
            raise InputError.of("--ray", "ray is not installed; pip install 'autodistiller-nlp[ray]'") from error
        self._ray = ray
        if not ray.is_initialized():
            ray.init(address=address, log_to_driver=False, configure_logging=False)
        self._options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": TRIES}

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Begins a call as soon as a node has room."""
        return self._ray.remote(**self._options)(fn).remote(*args, **kwargs).future()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leaves the cluster."""
        self._ray.shutdown()


def on_ray(address: str, slots: int, cpus: float = 1, gpus: float = 0) -> Place:
    """A Ray cluster, with so many runs at once."""
    return Place(partial(RayExecutor, address, cpus, gpus), slots)
