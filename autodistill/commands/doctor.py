"""What this machine offers: versions, devices, precision, hub, caches; and what stands in the way.

Decided here: what is worth knowing before a run, and that finding it out takes seconds, not minutes.
"""

import platform
import re
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from autodistill.commands.options import Typed
from autodistill.commands.request import fields_of
from autodistill.commands.show import Row, Shown
from engine.base import DISTRIBUTION, version_of
from engine.base.files import folder_bytes
from engine.base.options import RunOptions
from engine.base.progress import Reporter

OURS = ("autodistill", "engine", "meta_data", "cli")
"""Top-level names of the distribution."""
PACKAGES = (DISTRIBUTION, "torch", "transformers", "datasets", "accelerate", "numpy", "POT", "tensorboard")


def doctor(typed: Typed, reporter: Reporter) -> Shown:
    """Everything that was found, as a table; below it what stands in the way."""
    from huggingface_hub import constants

    from engine.base.hub import hub_reachable

    options = fields_of(typed).options
    kinds = sorted(options.cache.iterdir()) if options.cache.is_dir() else []
    caches = {"all": options.cache, **{each.name: each for each in kinds if each.is_dir()}}
    caches["hub"] = Path(constants.HF_HUB_CACHE)
    report = {
        "versions": {"python": platform.python_version(), **{name: version_of(name) for name in PACKAGES}},
        "machine": _machine(options),
        "hub": {"address": constants.ENDPOINT, "reachable": hub_reachable(seconds=3.0)},
        "caches": {
            name: {"megabytes": round(folder_bytes(folder) / 1e6, 1), "folder": str(folder)}
            for name, folder in caches.items()
        },
    }
    against = list(conflicts())
    table = ["part", "name", "found"], lines(report), ""
    return Shown(report | {"conflicts": against}, [table], [f"warning: {conflict}" for conflict in against])


def conflicts() -> Iterator[str]:
    """Other distributions with a package of our name, and packages that are loaded from elsewhere."""
    providers = packages_distributions()
    others: dict[str, list[str]] = {}
    for package in OURS:
        for name in dict.fromkeys(providers.get(package, ())):
            if re.sub(r"[-_.]+", "-", name).lower() != DISTRIBUTION:
                others.setdefault(name, []).append(package)
    for name, packages in others.items():
        yield (
            f"the distribution {name} {version_of(name)} also brings {' and '.join(packages)}, and may have "
            f"overwritten ours: pip uninstall {name}, then pip install --force-reinstall {DISTRIBUTION}"
        )
    home = Path(__file__).parents[2]
    for package in OURS:
        spec = find_spec(package)
        origin = Path(spec.origin) if spec and spec.origin else None
        if origin and not origin.is_relative_to(home):
            yield f"{package} is loaded from {origin}, not from {home}: another package has its name"


def lines(report: dict[str, dict[str, Any]]) -> list[Row]:
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


def _machine(options: RunOptions) -> dict[str, Any]:
    import psutil
    import torch

    from engine.base.machine import choose_precision, cores, cpu_has_bf16

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return {
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": [f"{gpu.name} ({gpu.total_memory / 1e9:.0f} GB)" for gpu in gpus],
        "bf16_on_cpu": cpu_has_bf16(),
        "precision_chosen": choose_precision(options.precision, device),
    }
