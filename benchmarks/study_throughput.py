"""What several students gain by sharing one teacher's answers to one stream of augmented examples.

The same students are trained alone, each with a cache of its own, and in one cache, in turns. With T the teacher's time
for the augmented batch of a step, and S the student's for the step, both measured here with everything else in memory,
k students can gain at most k(T+S)/(T+kS). It is the workload of teacher_cache.py, augmented by word swaps and mixup.
The students differ in what costs no time, their temperature. Whether they end with the same scores is said, too, and
how many examples the teacher answered for all but the first.

    python benchmarks/study_throughput.py [--json] [--precision bf16] [--student scratch:layers=2,hidden=128]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from machine import Others, features, in_words
from teacher_cache import BATCH, made_up_task, make_models

from engine import FineTuning, Pipeline, RunOptions, distill
from engine.base.machine import Machine, cpu_has_bf16, machine_for
from engine.data.task import Task
from engine.models.forward import faster_attention
from engine.models.start import begin
from engine.pipeline import Augmentation, Mixup, PredictionCE, Random, Training
from engine.run.plan import plan_run
from engine.run.prepare import objective_for, online_data
from engine.run.result import RunResult
from engine.run.teacher import prepare_teacher
from engine.training.batches import Stream
from engine.training.loop import Stage, Trainee, optimise
from engine.training.optimiser import optimizer_for

AS_IT_IS = FineTuning(when="never")
WARM = 3  # steps that are not counted
FEWEST, ENOUGH = 10, 4.0
"""Steps of an epoch at least, and seconds: a first step takes half a second longer than the others."""


def pipeline(number: int, epochs: int) -> Pipeline:
    """That of a student."""
    operators = (Random(synonyms="none"), Mixup())
    return Pipeline(
        prediction=PredictionCE(temperature=1.0 + number),
        augmentation=Augmentation(operators=operators),
        training=Training(epochs=epochs, batch_size=BATCH),
    )


def parts(task: Task, models: dict[str, str], options: RunOptions) -> tuple[float, float]:
    """T and S, in seconds."""
    machine = machine_for(options)
    plan = plan_run(task, pipeline(0, 1), **models, fine_tuning=AS_IT_IS, precision=machine.precision)
    training = plan.pipeline.training
    teacher = prepare_teacher(plan.teacher, task, training, machine)
    student = begin(plan.student, task, 0, machine, teacher.as_model)
    objective = objective_for(plan, teacher, student[0])
    data = online_data(plan, teacher, student, objective, machine)
    stage = Stage("student", Path(), task, student[0], objective, data, training, 0, {})
    trainee = Trainee(student[0], objective, task.kind)
    trainee, optimizer = machine.accelerator.prepare(trainee, optimizer_for(student[0], objective, training))
    faster_attention(student[0], machine.device)
    stream = Stream(data, training, 0, 1, machine.accelerator)
    times: dict[str, list[float]] = {"teacher": [], "student": []}
    for number in range(len(stream)):
        batches = stream[number]
        with timed(times["teacher"], machine):
            batches = data.answered(batches, number)
        in_memory = [replace(each, fetched=data.signals.view(each.fetched)) for each in batches]  # type: ignore[union-attr]
        with timed(times["student"], machine):
            optimise(in_memory, stage, trainee.train(), optimizer, machine.accelerator)
    return median(times["teacher"][WARM:]), median(times["student"][WARM:])


@contextmanager
def timed(times: list[float], machine: Machine) -> Iterator[None]:
    """Adds the seconds of a block, those of the GPU with them."""
    import torch

    started = time.perf_counter()
    yield
    if machine.device.type == "cuda":
        torch.cuda.synchronize()
    times.append(time.perf_counter() - started)


def trained(task: Task, models: dict[str, str], number: int, epochs: int, out: Path, options: RunOptions) -> RunResult:
    """One student, alone or after others, by the cache."""
    chosen = pipeline(number, epochs)
    return distill(task, **models, pipeline=chosen, out=out, fine_tuning=AS_IT_IS, options=options)


def seconds(result: RunResult) -> float:
    """In which it was trained, evaluation aside."""
    assert result.examples_per_second is not None
    return result.train_examples * len(result.history) / result.examples_per_second


def rows_of(
    students: list[int],
    steps: int | None,
    models: dict[str, str],
    epochs: int,
    folder: Path,
    options: Callable[[str], Any],
) -> Iterator[dict[str, Any]]:
    """A row for each number of students."""
    alone: list[RunResult] = []
    shared: list[RunResult] = []
    few = made_up_task(FEWEST * BATCH)
    began = parts(few, models, options("parts"))
    task = made_up_task(BATCH * (steps or max(FEWEST, round(ENOUGH / sum(began)))))
    for number in range(max(students)):
        for found, cache in ((alone, f"alone{number}"), (shared, "shared")):
            out = folder / f"{cache}-{number}-{len(found)}"
            found.append(trained(task, models, number, epochs, out, options(cache)))
    ended = parts(few, models, options("parts"))
    teacher, student = (min(pair) for pair in zip(began, ended, strict=True))
    for k in students:
        ratio = sum(map(seconds, alone[:k])) / sum(map(seconds, shared[:k]))
        bound = k * (teacher + student) / (teacher + k * student)
        yield {
            "students": k,
            "steps": epochs * len(task.train) // BATCH,
            "examples_per_s": k * len(task.train) * epochs / sum(map(seconds, shared[:k])),
            "ratio_to_sequential": ratio,
            "bound": bound,
            "share_of_bound": ratio / bound,
            "teacher_s": teacher,
            "student_s": student,
            "same_scores": all(one.history == other.history for one, other in zip(alone, shared, strict=True)),
            "answered_for_later_ones": sum(each.teacher_examples for each in shared[1:k]),
        }


def main() -> None:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--precision", choices=["float32", "bf16"], default="bf16" if cpu_has_bf16() else "float32")
    parser.add_argument("--student", help="another one than 4 layers of width 312")
    parser.add_argument("--teacher", help="another one than 12 layers of width 768")
    parser.add_argument("--steps", type=int, help=f"of an epoch; default: {ENOUGH:g} seconds, {FEWEST} at least")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Others() as others:
        folder = Path(name)
        make_models(folder)
        models = {role: getattr(given, role) or str(folder / role) for role in ("teacher", "student")}

        def options(cache: str) -> RunOptions:
            return RunOptions(precision=given.precision, cache_dir=str(folder / cache))

        rows = list(rows_of(given.students, given.steps, models, given.epochs, folder, options))
    about = {"precision": given.precision, "others_cores": round(others.cores, 2)}
    if given.json:
        print(json.dumps({"machine": features(), **about, "rows": rows}, indent=2))
        return
    print(f"{in_words(features())}; {given.precision}; others kept {others.cores:.2f} cores busy")
    names = ("students", "examples_per_s", "ratio_to_sequential", "bound", "share_of_bound")
    print(f"| {' | '.join(names)} |\n|{' --- |' * len(names)}")
    for row in rows:
        print(f"| {' | '.join(f'{row[name]:.3g}' for name in names)} |")
    same = "the same scores" if rows[-1]["same_scores"] else "other scores"
    print(f"T {rows[-1]['teacher_s']:.3f} s, S {rows[-1]['student_s']:.3f} s; {same} as alone;", end=" ")
    print(f"the teacher answered {rows[-1]['answered_for_later_ones']} examples for all but the first.")


if __name__ == "__main__":
    main()
