"""What a run takes in time and memory against the rows of its data, the length of their texts, and the models' layers.

The rows are words drawn by chance, written in blocks into a temporary folder. Each point is a process of its own with
one thread, which does what a run does, through the engine's own functions: it reads, checks and splits the file; loads
a teacher and scores it on the held-out rows; tokenises the training rows; takes `STEPS` steps with the teacher running
along, then as many batches of the pass that writes its signals, and as many steps that read them; and scores the
student. So steps, batches and held-out rows are as many for each point, and what grows does so with the rows.

Memory is what the system counts as resident, of which two peaks are shown. `all` has everything. `private` leaves out
the pages of files that are mapped, the libraries' own too: the system may take these back at any time, and reads them
again from the file; what is left only this process can give back. Both are looked up a few hundred times a second.
Seconds are those of the processor, so that other work on the machine does not count.

    python benchmarks/scaling.py [--rows 1000 10000 1000000] [--lengths 32 512] [--layers 2 12] [--format csv] [--json]

Rows vary at the first length and the first number of layers; lengths and layers vary at the first number of rows.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as parquet

STEPS, BATCH, WIDTH, STUDENT_LAYERS = 20, 16, 64, 2
BLOCK = 50_000  # rows that are written at once
WORDS = [a + b + c for a in "bcdfgklmnprst" for b in "aeiou" for c in "bcdfgklmnprst"]
EVERY = 0.003  # seconds between two looks at the memory
GROWS = ("read", "plan", "tokenise")  # stages whose work is that of all rows
MB = 1e6


@dataclass(frozen=True)
class Point:
    """One process: rows of the file, the most tokens of a row, layers of the teacher."""

    rows: int
    length: int
    layers: int


def main() -> None:
    """Prints a table, or with `--json` a list of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--lengths", type=int, nargs="+", default=[32])
    parser.add_argument("--layers", type=int, nargs="+", default=[2])
    parser.add_argument("--format", choices=["csv", "parquet"], default="csv")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    first = Point(given.rows[0], given.lengths[0], given.layers[0])
    points = [replace(first, rows=rows) for rows in given.rows]
    points += [replace(first, length=length) for length in given.lengths[1:]]
    points += [replace(first, layers=layers) for layers in given.layers[1:]]
    with tempfile.TemporaryDirectory() as folder:
        found = [{**asdict(point), **measured(point, Path(folder), given.format)} for point in points]
    print(json.dumps(found, indent=2) if given.json else table(found))


def table(found: list[dict]) -> str:
    """The points as a table in Markdown; memory beside its ratio to the first point's, seconds a stage."""
    stages = list(found[0]["seconds"])
    heads = ["rows", "length", "layers", "private MB", "ratio", "all MB", "ratio", "s per 10,000 rows", *stages]
    lines = [heads, ["---:"] * len(heads)]
    for each in found:
        memory = [
            text
            for kind in ("private_mb", "all_mb")
            for text in (f"{each[kind]:,.0f}", f"{each[kind] / found[0][kind]:.2f}")
        ]
        point = [f"{each[name]:,}" for name in ("rows", "length", "layers")]
        seconds = [f"{value:.2f}" for value in (each["seconds_per_10k_rows"], *each["seconds"].values())]
        lines.append([*point, *memory, *seconds])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def measured(point: Point, folder: Path, suffix: str) -> dict:
    """Seconds of each stage of a point and the peaks of its memory, in 10^6 bytes, each of a stage and of all."""
    file = folder / f"rows.{suffix}"
    write(file, point)
    spawn = multiprocessing.get_context("spawn")
    ours, its = spawn.Pipe(duplex=False)
    os.environ |= {"OMP_NUM_THREADS": "1", "ARROW_IO_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    process = spawn.Process(target=work, args=(its, point, file))
    process.start()
    its.close()
    watched, stage, seconds = psutil.Process(process.pid), "start", {}
    peaks: dict[str, list[int]] = {}
    while stage:
        if ours.poll(EVERY):
            try:
                stage, seconds = ours.recv()
            except EOFError:
                raise SystemExit(f"{point} failed in the stage {stage}") from None
            continue
        now = watched.memory_info()
        most = peaks.setdefault(stage, [0, 0])
        peaks[stage] = [max(most[0], now.rss - now.shared), max(most[1], now.rss)]
    process.join()
    private, everything = (max(peak[kind] for peak in peaks.values()) / MB for kind in (0, 1))
    return {
        "private_mb": private,
        "all_mb": everything,
        "seconds_per_10k_rows": sum(seconds[name] for name in GROWS) / point.rows * 10_000,
        "seconds": seconds,
        "stage_private_mb": {name: peak[0] / MB for name, peak in peaks.items()},
        "stage_all_mb": {name: peak[1] / MB for name, peak in peaks.items()},
    }


def write(file: Path, point: Point) -> None:
    """Rows of half to all of the words that fit a length, with one of three classes, a block after the other."""
    schema = pa.schema({"text": pa.string(), "label": pa.string()})
    with file.open("w", newline="") as lines, parquet.ParquetWriter(f"{file}.aside", schema) as writer:
        sheet = csv.writer(lines)
        sheet.writerow(schema.names)
        for begin in range(0, point.rows, BLOCK):
            texts, labels = zip(*rows_of(begin, min(BLOCK, point.rows - begin), point.length), strict=True)
            if file.suffix == ".csv":
                sheet.writerows(zip(texts, labels, strict=True))
            else:
                writer.write_table(pa.table([list(texts), list(labels)], schema=schema))
    aside = Path(f"{file}.aside")
    aside.replace(file) if file.suffix == ".parquet" else aside.unlink()


def rows_of(begin: int, count: int, length: int) -> Iterator[tuple[str, str]]:
    """The rows of a block."""
    random = np.random.default_rng([0, begin])
    most = length - 2  # the tokens around a text
    for row, words in enumerate(random.integers(max(1, most // 2), most + 1, count).tolist()):
        drawn = random.integers(0, len(WORDS), words).tolist()
        yield " ".join(map(WORDS.__getitem__, drawn)), ("bad", "fair", "good")[row % 3]


def work(channel: Connection, point: Point, file: Path) -> None:
    """The process of a point; tells the stage that begins, and the seconds of those that are over."""
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        channel.send((name, {}))
        began = time.process_time()
        yield
        seconds[name] = time.process_time() - began

    from engine.base.machine import machine_for
    from engine.base.options import FineTuning, RunOptions
    from engine.data.load import load_task
    from engine.evaluation.inference import encode_held_out, measured_on
    from engine.models.start import begin
    from engine.pipeline import MSE, Pipeline, Training
    from engine.run.plan import plan_run
    from engine.run.prepare import objective_for, online_data
    from engine.run.teacher import prepare_teacher
    from engine.signals.signals import CachedSignals
    from engine.signals.store import SignalPass, SignalReader, SignalStore

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_models(folder, point)
        machine = machine_for(RunOptions(device="cpu", precision="float32", cache_dir=str(folder / "cache")))
        training = Training(epochs=1, batch_size=BATCH, max_length=point.length)
        pipeline = Pipeline(intermediate=MSE(), training=training)
        with stage("read"):
            task = load_task(file)
        with stage("plan"):
            models = [str(folder / name) for name in ("teacher", "student")]
            plan = plan_run(task, pipeline, *models, fine_tuning=FineTuning(when="never"))
        with stage("teacher"):
            teacher = prepare_teacher(plan.teacher, task, plan.pipeline.training, machine)
            model, tokenizer = begin(plan.student, task, 0, machine, teacher.as_model)
            objective = objective_for(plan, teacher, model)
        with stage("tokenise"):
            data = online_data(plan, teacher, (model, tokenizer), objective, machine)
        with stage("online steps"):
            take_steps(plan, model, objective, data, machine)
        with stage("signals"):
            store = SignalStore(folder / "signals", data.student.lengths, task.outputs, task.token_level, WIDTH)
            filling = SignalPass(
                store, store.names(objective.needs), store.folder
            )  # never whole, but read all the same
            filling.begin()
            for ids, number in islice(filling.todo(0, 1), STEPS):
                filling.write(ids, number, data.signals.view(data.signals.fetch(ids)))
            filling.flush()
        with stage("cached steps"):
            reader = SignalReader(store, objective.needs)
            data = replace(data, signals=CachedSignals(reader, data.student, machine.device))
            take_steps(plan, model, objective, data, machine)
        with stage("evaluate"):
            measured_on(model, task, encode_held_out(task, tokenizer, plan.pipeline.training), machine.accelerator)
    channel.send(("", seconds))


def take_steps(plan, model, objective, data, machine) -> None:
    """The first steps of an epoch."""
    from engine.training.batches import StepPlan
    from engine.training.loop import Stage, Trainee, optimise
    from engine.training.optimiser import optimizer_for

    training = plan.pipeline.training
    stage = Stage("scaling", Path(), plan.task, model, objective, data, training, plan.seed, {})
    optimizer = optimizer_for(model, objective, training)
    trainee, optimizer = machine.accelerator.prepare(Trainee(model, objective, plan.task.kind), optimizer)
    steps = StepPlan(data, training, plan.seed, 0, 1, 0)
    for number in range(min(STEPS, len(steps))):
        optimise(steps[number], stage, trainee.train(), optimizer, machine.accelerator)
    machine.accelerator.free_memory(trainee, optimizer)


def save_models(folder: Path, point: Point) -> None:
    """A teacher with a head and a student, with random weights, that read every word as one token."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    from engine.models.load import quiet_transformers, save_model
    from engine.models.vocabulary import SPECIAL

    torch.manual_seed(0)
    torch.set_num_threads(1)
    names = dict(enumerate(("bad", "fair", "good")))
    tokenizer = BertTokenizer(vocab={token: number for number, token in enumerate([*SPECIAL, *WORDS])})
    for name, layers in (("teacher", point.layers), ("student", STUDENT_LAYERS)):
        config = BertConfig(
            vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=layers,
            num_attention_heads=4, max_position_embeddings=max(512, point.length), id2label=names,
            label2id={label: number for number, label in names.items()},
        )  # fmt: skip
        with quiet_transformers():
            save_model(BertForSequenceClassification(config), tokenizer, folder / name)


if __name__ == "__main__":
    main()
