"""How long a training step, and numpy's products and inverse of matrices, take alone and beside another process that
does the same: with threads that wait in a loop, as the libraries let them, and as `engine.base.threads` has them wait.

    python benchmarks/waiting.py [--seconds 5]
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

CORES = str(os.cpu_count())
WAYS = {
    "torch, in a loop (the library's way)": ("step", {"GOMP_SPINCOUNT": "300000", "OMP_NUM_THREADS": CORES}),
    "torch, as on a quiet machine": ("step", {"GOMP_SPINCOUNT": "10000", "OMP_NUM_THREADS": CORES}),
    "torch, as on a busy machine": ("step", {"GOMP_SPINCOUNT": "1000", "OMP_NUM_THREADS": CORES}),
    "numpy, all threads (the library's way)": ("likelihood", {"OPENBLAS_NUM_THREADS": CORES}),
    "numpy, one thread": ("likelihood", {"OPENBLAS_NUM_THREADS": "1"}),
}
"""Who waits how → what is timed, and the environment that makes it so."""


def step() -> Callable[[], object]:
    """A step of a BERT encoder: 4 layers, width 256, 16 texts of 64 tokens, float32."""
    import torch
    from transformers import BertConfig, BertModel

    sizes = {"num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024}
    model, tokens = BertModel(BertConfig(**sizes)), torch.randint(1000, (16, 64))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-5)

    def act() -> None:
        model(input_ids=tokens).last_hidden_state.sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    return act


def likelihood() -> Callable[[], object]:
    """The products and the inverse that the mixed predictor takes hundreds of times: 250 runs, 20 parts."""
    import numpy as np
    from scipy.linalg import lapack

    random = np.random.default_rng(0)
    values, parts, variances = random.normal(size=(250, 250)), random.random((20, 250 * 251 // 2)), random.random(20)
    matrix = values @ values.T + 250 * np.eye(250)
    return lambda: (variances @ parts, lapack.dpotri(lapack.dpotrf(matrix)[0]), parts @ parts[0])


TIMED = {"step": step, "likelihood": likelihood}


def milliseconds(act: Callable[[], object], seconds: float) -> float:
    """The median time of an act that is repeated for so long."""
    taken: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(taken) < 3:
        start = time.perf_counter()
        act()
        taken.append(time.perf_counter() - start)
    return 1000 * median(taken[1:])


def side_by_side(way: str, seconds: float, processes: int) -> list[float]:
    """Milliseconds in each of so many processes that run together."""
    timed, environment = WAYS[way]
    command = [sys.executable, __file__, "--seconds", str(seconds), "--timed", timed]
    options = {"env": os.environ | environment, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, **options) for _ in range(processes)]
    return [float(process.communicate()[0]) for process in started]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each figure")
    parser.add_argument("--timed", choices=TIMED, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.timed:
        print(milliseconds(TIMED[given.timed](), given.seconds))
        return
    print("| who waits, and how | alone, ms | two side by side, ms |\n| --- | --- | --- |")
    for way in WAYS:
        alone, together = (side_by_side(way, given.seconds, processes) for processes in (1, 2))
        print(f"| {way} | {alone[0]:.4g} | {' and '.join(f'{each:.4g}' for each in together)} |", flush=True)


if __name__ == "__main__":
    main()
