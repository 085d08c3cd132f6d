"""Where the time of a first recommendation goes, and how long the second one takes.

    python benchmarks/cold_start.py DATA --teacher MODEL [--student layers:3] [--rows 1000] [--precision P] [--json]

Further options are those of `autodistill recommend`, such as --teacher-epochs 1.

`autodistill recommend` runs twice, each time in a process of its own: with an empty cache and an empty store, then
with what the first run left there. CPU seconds are of all threads; they say more than seconds where others are at work.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

STAGES = {
    "teacher fine-tuned": "engine.run.teacher.prepare_teacher",
    "steps timed": "engine.run.costs.measure_costs",
    "linear model": "engine.evaluation.linear.linear_measures",
    "Bi-LSTM": "autodistill.datasets.bilstm.bilstm_score",
    "descriptors": "autodistill.recommend.costs.describe",
    "words counted": "autodistill.recommend.costs.count_words",
    "past runs read": "autodistill.recommend.recommend.load_knowledge",
    "predictor": "autodistill.recommend.recommend.fit_predictor",
}
"""Stage → the function that it is, in the module that calls it or, of those imported when they are needed, its own."""
LIBRARIES = "libraries loaded"
LIMITS = {"cold": (90.0, 180.0), "warm": (3.0, 3.0)}
"""Seconds of two threads on 1,000 short texts, with hardware for products of bf16 matrices (AMX) and without."""


def clock() -> np.ndarray:
    """Seconds, and CPU seconds of this process (2,)."""
    return np.array([time.perf_counter(), time.process_time()])


def timed_cli(record: str, arguments: Sequence[str]) -> None:
    """The command line in this process, with the stages timed; what they took is written to `record`."""
    taken: dict[str, np.ndarray] = {}

    def watched(stage: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            started = clock()
            result = act(*given, **named)
            taken[stage] = taken.get(stage, np.zeros(2)) + clock() - started
            return result

        return timed

    started = clock()
    for stage, path in STAGES.items():
        module, _, name = path.rpartition(".")
        found = importlib.import_module(module)
        setattr(found, name, watched(stage, getattr(found, name)))
    from cli import main

    taken[LIBRARIES] = clock() - started
    sys.argv = ["autodistill", *arguments]
    try:
        main()
    finally:
        Path(record).write_text(json.dumps({stage: each.tolist() for stage, each in taken.items()}), "utf-8")


def run(command: Sequence[str]) -> tuple[float, float]:
    """Seconds and CPU seconds of a command, which must succeed."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """Both runs: stage → seconds and CPU seconds, and the totals."""
    with tempfile.TemporaryDirectory() as folder:
        asked = ["recommend", given.data, "--teacher", given.teacher, "--student", given.student]
        asked += ["--max-train", str(given.rows), "--precision", given.precision, *given.more]
        asked += ["--cache-dir", f"{folder}/cache", "--store", f"{folder}/store.db", "--out", f"{folder}/out"]
        cold = run([sys.executable, __file__, "--timed", f"{folder}/stages.json", *asked])
        stages = json.loads(Path(folder, "stages.json").read_text("utf-8"))
        warm = run([sys.executable, "-m", "cli", *asked])
    rest = np.subtract(cold, np.sum([*stages.values()], axis=0)).tolist()
    return {"machine": machine(), "stages": stages | {"rest": rest}, "cold": cold, "warm": warm}


def machine() -> dict[str, Any]:
    """What decides the speed."""
    import torch

    found = torch.cpu.get_capabilities()
    features = [name for name in ("amx_bf16", "avx512_bf16", "avx512", "avx2") if found.get(name)]
    return {"threads": torch.get_num_threads(), "features": features, "platform": platform.machine()}


def shown(found: dict[str, Any]) -> str:
    """The table, and the totals beside their limits."""
    (seconds, cpu), has_amx = found["cold"], "amx_bf16" in found["machine"]["features"]
    lines = [f"{found['machine']['threads']} threads, {', '.join(found['machine']['features'])}", ""]
    lines += ["| stage | s | CPU s | share of the CPU time |", "| --- | --- | --- | --- |"]
    ordered = sorted(found["stages"].items(), key=lambda each: -each[1][1])
    lines += [f"| {name} | {own:.1f} | {busy:.1f} | {busy / cpu:.0%} |" for name, (own, busy) in ordered]
    lines += [f"| cold, all | {seconds:.1f} | {cpu:.1f} | |"]
    lines += [f"| warm, all | {found['warm'][0]:.1f} | {found['warm'][1]:.1f} | |", ""]
    limits = {kind: limit[not has_amx] for kind, limit in LIMITS.items()}
    lines += [f"limits of 1,000 short texts: cold {limits['cold']:.0f} s, warm {limits['warm']:.0f} s"]
    return "\n".join(lines)


def main() -> None:
    """Prints a table, or everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--student", default="layers:3")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--precision", default="auto", choices=["auto", "bf16", "float32"])
    parser.add_argument("--json", action="store_true")
    given, more = parser.parse_known_args()
    given.more = more
    found = measured(given)
    print(json.dumps(found) if given.json else shown(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--timed"]:
        timed_cli(sys.argv[2], sys.argv[3:])
    else:
        main()
