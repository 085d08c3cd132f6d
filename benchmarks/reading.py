"""What reading costs: seconds and peak memory of `load_task` on made-up classification rows.

Each measurement is a process of its own with one thread, on a folder with `train` and 1,000 rows of
`validation` in a temporary place. The first row of the table is the process before it reads: the interpreter
and the imported libraries.

    python benchmarks/reading.py [--rows 10000 1000000] [--formats csv jsonl parquet]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

VALIDATION_ROWS, WORDS, PIECE = 1_000, 12, 50_000
FORMATS = ("csv", "tsv", "jsonl", "parquet")

MEASURE = """
import json, resource, sys, time
import datasets
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
from engine.data import sources, splits
from engine.data.load import load_task
before = peak()
began = time.perf_counter()
rows = len(load_task(sys.argv[1]).train) if len(sys.argv) > 1 else 0
print(json.dumps({"rows": rows, "seconds": round(time.perf_counter() - began, 2), "MiB at most": peak()}))
"""


def main() -> None:
    """Prints one line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=["csv", "parquet"])
    given = parser.parse_args()
    print(f"{'':8} {'rows':>10} {'seconds':>8} {'MiB':>6}")
    _show("no data", _measured())
    for rows in given.rows:
        for suffix in given.formats:
            with tempfile.TemporaryDirectory() as folder:
                _write(Path(folder, f"train.{suffix}"), rows, seed=0)
                _write(Path(folder, f"validation.{suffix}"), VALIDATION_ROWS, seed=1)
                _show(suffix, _measured(folder))


def _show(name: str, found: dict[str, float]) -> None:
    rows, seconds, memory = found.values()
    print(f"{name:8} {rows:10,} {seconds:8.2f} {memory:6,}", flush=True)


def _measured(*folder: str) -> dict[str, float]:
    command = [sys.executable, "-c", MEASURE, *folder]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ARROW_IO_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _rows(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Texts of about a dozen words, some in quotes, and labels of three classes."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(20_000)]
    for row in range(count):
        text = " ".join(draw.choices(words, k=draw.randint(WORDS - 4, WORDS + 4)))
        yield (f"{text}, {words[row % 100]}" if row % 10 == 0 else text), ("bad", "fair", "good")[row % 3]


def _write(path: Path, count: int, seed: int) -> None:
    rows = _rows(count, seed)
    if path.suffix == ".parquet":
        _write_parquet(path, rows)
        return
    with path.open("w", encoding="utf-8") as file:
        sign = "\t" if path.suffix == ".tsv" else ","
        file.write("" if path.suffix == ".jsonl" else f"text{sign}label\n")
        for text, label in rows:
            if path.suffix == ".jsonl":
                file.write(json.dumps({"text": text, "label": label}) + "\n")
            else:
                file.write(f'"{text}"{sign}{label}\n' if sign in text else f"{text}{sign}{label}\n")


def _write_parquet(path: Path, rows: Iterator[tuple[str, str]]) -> None:
    from itertools import islice

    import pyarrow as pa
    import pyarrow.parquet as parquet

    schema = pa.schema({"text": pa.string(), "label": pa.string()})
    with parquet.ParquetWriter(path, schema) as writer:
        while piece := list(islice(rows, PIECE)):
            texts, labels = zip(*piece, strict=True)
            writer.write_table(pa.table([list(texts), list(labels)], schema=schema))


if __name__ == "__main__":
    main()
