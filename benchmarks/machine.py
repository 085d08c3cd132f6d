"""What a measurement says of its machine: what it computes with, and how busy others kept it meanwhile.

python benchmarks/machine.py [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from importlib.metadata import version
from typing import Any

import psutil
import torch

from engine.base.errors import counted
from engine.base.machine import cores

INSTRUCTIONS = {"AMX": ("amx_bf16", "amx_int8"), "AVX-512": ("avx512_f",), "avx512_bf16": ("avx512_bf16",),
                "AVX2": ("avx2",)}  # fmt: skip
"""What decides how fast a CPU multiplies matrices → torch's names of it, any of which will do."""
LIBRARIES = ("torch", "transformers", "accelerate", "numpy")
WORKING = ("user", "nice", "system", "irq", "softirq")
"""What the cores do that are neither idle nor waiting for a disk."""


def features() -> dict[str, Any]:
    """Processor, its instructions, cores, memory, GPU, and the versions of what computes."""
    known = torch.cpu.get_capabilities()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cpu": known.get("cpu_name") or platform.machine(),
        "cores": cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        **{what: any(known.get(name, False) for name in names) for what, names in INSTRUCTIONS.items()},
        "gpu": gpu,
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
    }


def in_words(found: dict[str, Any]) -> str:
    """The same in a sentence.

    Example:
        >>> in_words({"cpu": "Z80", "cores": 1, "memory_gb": 4, "AVX2": True, "AMX": False, "gpu": None})
        '1 core of Z80 with AVX2 (no AMX), 4 GB, no GPU'
    """
    there = [what for what in INSTRUCTIONS if found.get(what)]
    lacking = [what for what in INSTRUCTIONS if not found.get(what, True)]
    has = f" with {', '.join(there)}" if there else ""
    has += f" (no {', '.join(lacking)})" if lacking else ""
    machine = f"{counted(found['cores'], 'core')} of {found['cpu']}{has}, {found['memory_gb']} GB"
    versions = (f"{name} {found[name]}" for name in ("python", *LIBRARIES) if name in found)
    return ", ".join([machine, found["gpu"] or "no GPU", *versions])


class Others:
    """How many cores everybody but this process and those that it started keeps busy in some windows of time."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._seconds = self._foreign = 0.0

    def __enter__(self) -> Others:
        self._began, self._before = time.perf_counter(), self._now()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds += time.perf_counter() - self._began
        self._foreign += self._now() - self._before

    @property
    def cores(self) -> float:
        """Cores in the mean, over all windows so far."""
        return max(self._foreign, 0.0) / self._seconds if self._seconds else 0.0

    def _now(self) -> float:
        """Seconds that the cores of the machine have worked for others; children that ended count as such."""
        whole = psutil.cpu_times()
        return sum(getattr(whole, kind, 0.0) for kind in WORKING) - self._ours()

    def _ours(self) -> float:
        return float(sum(sum(each.cpu_times()[:2]) for each in (self._own, *self._own.children(recursive=True))))


def main() -> None:
    """Prints what this machine is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    found = features()
    print(json.dumps(found, indent=2) if parser.parse_args().json else in_words(found))


if __name__ == "__main__":
    main()
