"""What this machine offers: versions, devices, precision, hub, caches.

Decided here: what is worth asking before somebody's run, and that asking costs seconds, not minutes.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.base.files import folder_bytes
from engine.base.options import RunOptions

PACKAGES = ("autodistiller", "torch", "transformers", "datasets", "accelerate", "numpy", "POT", "tensorboard")
CACHES = ("teachers", "gold_scores", "signals", "vocabularies")


def examine(options: RunOptions) -> dict[str, Any]:
    """Everything that `autodistill doctor` shows."""
    from huggingface_hub import constants

    from engine.base.hub import hub_reachable

    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "machine": _machine(options),
        "hub": {"address": constants.ENDPOINT, "reachable": hub_reachable(seconds=3.0)},
        "caches": {
            **{name: _cache(options.cache / name) for name in CACHES},
            "hub": _cache(Path(constants.HF_HUB_CACHE)),
        },
    }


def lines(report: dict[str, Any]) -> list[list[str]]:
    """The report as rows of a table.

    Example:
        >>> lines({"hub": {"reachable": False}, "caches": {"models": {"folder": "~/x", "megabytes": 1.0}}})
        [['hub', 'reachable', 'no'], ['caches', 'models', 'folder ~/x, megabytes 1.0']]
    """
    return [[part, name, _text(value)] for part, values in report.items() for name, value in values.items()]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    return "–" if value is None else str(value)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _machine(options: RunOptions) -> dict[str, Any]:
    import torch

    from engine.base.machine import choose_precision, cpu_has_bf16

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": _memory_gb(),
        "gpus": list(_gpus()),
        "bf16_on_cpu": cpu_has_bf16(),
        "precision_chosen": choose_precision(options.precision, device),
    }


def _gpus() -> Iterator[str]:
    import torch

    for index in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(index)
        yield f"{found.name} ({found.total_memory / 1e9:.0f} GB)"


def _memory_gb() -> float | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)


def _cache(folder: Path) -> dict[str, Any]:
    return {"megabytes": round(folder_bytes(folder) / 1e6, 1), "folder": str(folder)}
