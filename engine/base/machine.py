"""What this machine can do: devices, precisions, threads. Nothing here is stored in a pipeline."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import re
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock

from engine.base.errors import InputError, MemoryShort, counted, in_bytes
from engine.base.notebook import usual_reporter
from engine.base.options import RunOptions
from engine.base.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

T = TypeVar("T")
GROUP = Path("/sys/fs/cgroup")
"""Where Linux says what the group of this process may take."""
ALLOCATION = re.compile(
    r"(can't|cannot|can not) allocate|not enough memory|out of memory|bad_alloc|failed to map segment|cannot map",
    re.IGNORECASE,
)
"""What libraries say when an allocation fails."""
ASKED = re.compile(r"allocate ([\d.]+) ?(bytes|[KMGT]iB)")
FREE = re.compile(r"of which ([\d.]+) ?(bytes|[KMGT]iB) is free")
UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
LIBRARIES = 600_000_000
"""Bytes that PyTorch and the libraries beside it take: 450 MB resident once loaded, 580 after a run of tiny models."""
STARVED = 20_000_000
"""Bytes free below which whatever fails does so for want of memory: libraries, and Python itself, say many things."""
SURELY_FREE = 100_000_000
"""Bytes for which nobody is asked."""


@dataclass(frozen=True)
class Machine:
    """Where a run works and whom it tells: devices and processes, options, the reporter, and who counts its time."""

    accelerator: Accelerator
    options: RunOptions
    reporter: Reporter
    saved: Callable[[], None] = lambda: None  # called after each checkpoint

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return self.accelerator.device

    @property
    def main(self) -> bool:
        """Whether this is the process that writes files."""
        return self.accelerator.is_main_process

    @property
    def precision(self) -> str:
        """`bf16`, `fp16` or `float32`."""
        return {"no": "float32"}.get(self.accelerator.mixed_precision, self.accelerator.mixed_precision)

    @property
    def rounding(self) -> str:
        """The precision, and the teacher's answers' where it is another: all of it that decides a result."""
        return _rounding(self.precision, self.options)

    @contextmanager
    def alone(self, path: Path) -> Iterator[None]:
        """Holds a lock beside `path` in the main process, so that no other run makes the same thing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock") if self.main else nullcontext():
            yield

    def agreed(self, value: T) -> T:
        """The main process's value, in all processes."""
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 matrices in hardware; emulated, bf16 would be slower than float32."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))


def free_memory() -> int:
    """Bytes of memory that this process may still take: of the machine with its swap, and of the limits it is under."""
    import psutil

    free = [psutil.virtual_memory().available + psutil.swap_memory().free]
    taken = psutil.Process().memory_info()
    for what, bytes_taken in ((resource.RLIMIT_AS, taken.vms), (resource.RLIMIT_DATA, getattr(taken, "data", 0))):
        limit, _ = resource.getrlimit(what)
        if limit != resource.RLIM_INFINITY:
            free.append(limit - bytes_taken)
    with suppress(OSError, ValueError, StopIteration):  # there is no group, or it has no limit
        most = int((GROUP / "memory.max").read_text())
        lines = (line.split() for line in (GROUP / "memory.stat").read_text().splitlines())
        free.append(most - next(int(count) for name, count in lines if name == "anon"))
    return max(min(free), 0)


def free_on(device: torch.device) -> int | None:
    """Bytes of a GPU's memory that this process may still take, those too that torch holds for it; None elsewhere."""
    import torch

    if device.type != "cuda":
        return None
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # after an earlier run, say
    return torch.cuda.mem_get_info(device)[0] + held


def check_memory(place: str, needed: int, free: int | None = None) -> None:
    """Raises a `MemoryShort` with the numbers where so many bytes are not free.

    Args:
        free: Those of a device; of this process's memory where none are given.
    """
    there = free_memory() if free is None and needed > SURELY_FREE else free
    if there is not None and needed > there:
        what = f"the memory does not suffice: {in_bytes(needed)} are needed at least, and {in_bytes(there)} are free"
        raise MemoryShort.of(place, what)


def out_of_memory(error: BaseException) -> str:
    """What an allocation that failed asked for, and what there is, in words; empty for any other error.

    Example:
        >>> out_of_memory(RuntimeError("can't allocate memory: you tried to allocate 8000000000 bytes"))[:55]
        'the memory does not suffice: 8 GB more are needed, and '
    """
    text = str(error)
    if not isinstance(error, MemoryError) and not ALLOCATION.search(text) and free_memory() > STARVED:
        return ""
    asked = ASKED.search(text)
    needed = f"{in_bytes(float(asked[1]) * UNITS[asked[2]])} more are needed, and " if asked else ""
    of_device = FREE.search(text)
    try:
        free = float(of_device[1]) * UNITS[of_device[2]] if of_device else free_memory()
    except MemoryError:  # to ask takes some, too
        free = 0
    return f"the memory does not suffice: {needed}{in_bytes(free)} are free"


def choose_precision(requested: str, device: torch.device) -> str:
    """The precision of the forward passes: bf16, fp16 or float32; an `InputError` where the device has it not."""
    import torch

    on_gpu = device.type == "cuda"
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else cpu_has_bf16()
    if requested == "auto":
        if bf16:
            return "bf16"
        return "fp16" if on_gpu else "float32"
    if requested == "fp16" and not on_gpu:
        raise InputError.of("--precision", "fp16 needs a GPU", "fp16", ("bf16", "float32"), "float32")
    return requested


def rounding_for(options: RunOptions) -> str:
    """`Machine.rounding` of the machine that `machine_for` gives; raises as that does, and loads less."""
    return _rounding(_place_for(options)[1], options)


def _rounding(precision: str, options: RunOptions) -> str:
    return f"{precision}, teacher int8" if options.int8_teacher else precision


def _place_for(options: RunOptions) -> tuple[torch.device, str]:
    """Device and precision; an `InputError` where there is no such device, or it does not compute in that."""
    import torch

    on_gpu = torch.cuda.is_available() and options.device != "cpu"
    if options.device == "cuda" and not on_gpu:
        raise InputError.of("--device", "this machine has no CUDA device", "cuda", ("auto", "cpu"), "cpu")
    if options.int8_teacher and on_gpu:
        what = "8-bit integers are for CPUs; a GPU is faster in its 16 bits"
        raise InputError.of("--int8-teacher", what, suggestion="Leave it out, or add --device cpu.")
    device = torch.device("cuda" if on_gpu else "cpu")
    return device, choose_precision(options.precision, device)


def machine_for(options: RunOptions, reporter: Reporter | None = None) -> Machine:
    """The machine of this process, with the device and in the precision that `options` ask for.

    Args:
        reporter: None: that of `usual_reporter`.

    Raises:
        InputError: There is no CUDA device, or the device does not compute in what is asked for.
    """
    import torch
    from accelerate import Accelerator, InitProcessGroupKwargs
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedDataParallelKwargs

    device, precision = _place_for(options)
    share_threads()
    # The main process may fine-tune a teacher for hours while the others wait.
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=24))
    # Which parameters a step uses depends on the transport plan and the task.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    # accelerate has one state per process; an earlier run in it may have had another precision or device.
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    mixed = {"float32": "no"}.get(precision, precision)
    accelerator = Accelerator(mixed_precision=mixed, cpu=device.type == "cpu", kwargs_handlers=[patience, unused])
    if options.shard_teacher:
        _check_sharding(accelerator.num_processes, precision)
    reporter = (reporter or usual_reporter()) if accelerator.is_main_process else SilentReporter()
    return Machine(accelerator, options, reporter)


def _check_sharding(processes: int, precision: str) -> None:
    """Raises an `InputError` where a teacher cannot be fine-tuned in pieces."""
    if processes == 1:
        hint = "Start several: torchrun --nproc-per-node 2 -m cli run …"
        raise InputError.of("--shard-teacher", "there is one process, which holds all of it", "", (), hint)
    if precision == "fp16":
        what = "the scale of gradients in fp16 is not known to all pieces"
        raise InputError.of("--shard-teacher", what, "--precision fp16", ("bf16", "float32"))


@atexit.register
def _leave_processes() -> None:
    """Ends what several processes share; its threads would abort a process that ends before them."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def share_threads() -> None:
    """Splits the cores among the processes of this machine: with all cores each, they take several times longer."""
    import torch

    if local_processes() > 1:
        torch.set_num_threads(max(1, cores() // local_processes()))


def end_with_parent() -> None:
    """Has this process end when the one that began it was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> tuple[str, ...]:
    """What decides which GPUs this process sees, known without torch: a container may have none of its host's."""
    there = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    return (*there, os.environ.get("CUDA_VISIBLE_DEVICES", "all"))


def local_processes() -> int:
    """Training processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def workers_for(machine: Machine) -> int:
    """Processes that augment texts for this one, unless the options say how many."""
    if machine.options.workers is not None:
        return machine.options.workers
    most = 4 if machine.device.type == "cuda" else 1  # a GPU must not wait; on a CPU more would take its own cores
    return min(cores() // local_processes() - 1, most)


def models_work_ahead(machine: Machine) -> bool:
    """Whether a model that augments may run in those processes: on a CPU with a core that training leaves it, or
    where workers were asked for. Beside as many threads as cores, all of them wait for the one that shares its core."""
    import torch

    spare = torch.get_num_threads() < cores() // local_processes()
    return machine.device.type == "cpu" and bool(machine.options.workers or spare)


def peak_memory_mb(device: torch.device) -> float:
    """Most memory used so far, in 10^6 bytes: of the GPU, or of this process."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def device_name(device: torch.device) -> str:
    """A name for people, such as `cuda: NVIDIA H200` or `cpu, 2 threads`."""
    import torch

    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    return f"{device.type}, {counted(torch.get_num_threads(), 'thread')}"
