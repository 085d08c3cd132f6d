"""What a training step costs under each objective, beside vanilla KD (the prediction loss `ce` alone).

One step is the student's forward pass, the loss, its gradients and the update, taken by the engine's own functions;
the teacher's view of the batch lies in memory, in the precision of its cache. Every intermediate objective with every
layer mapping, and every prediction loss, take one step each in turn, in rounds, in one process and on one student, so
that their ratios hold where the machine's speed does not. Models from scratch; nothing is downloaded.

    python benchmarks/objectives.py [--layers 6 3] [--hidden 384 384] [--batch 16] [--tokens 64] [--rounds 15]
                                    [--kind classification] [--precision float32] [--only mse+emd …] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from datasets import Dataset

from engine import Pipeline, RunOptions
from engine.base.files import hash_of
from engine.base.machine import Machine, device_name, machine_for
from engine.data.task import Task
from engine.models.forward import Features, faster_attention, forward
from engine.models.start import begin
from engine.pipeline import component_kinds
from engine.pipeline.presets import PRESETS
from engine.run.plan import RunPlan, plan_run
from engine.run.prepare import objective_for, online_data
from engine.run.teacher import Teacher
from engine.training.batches import StepPlan
from engine.training.loop import Stage, Trainee, optimise
from engine.training.optimiser import optimizer_for

VANILLA = "vanilla KD"
PARTS = ("forward", "objective", "backward", "update")
WORDS = [a + b + c for a in "bcdfgklmnprst" for b in "aeiou" for c in "bcdfgklmnprst"]


def made_up_task(kind: str, batch: int, tokens: int) -> Task:
    """One batch of texts that are longer than they are read."""
    draw = random.Random(0)
    words = [draw.choices(WORDS, k=tokens) for _ in range(batch)]
    classes = [index % 2 for index in range(batch)]
    columns: dict[str, dict[str, Any]] = {
        "classification": {"text": [" ".join(each) for each in words], "label": classes},
        "tagging": {"tokens": words, "tags": [[each] * tokens for each in classes]},
    }
    data = Dataset.from_dict(columns[kind])
    metric, labels = {"classification": ("accuracy", ("no", "yes")), "tagging": ("f1", ("O", "B-X"))}[kind]
    key = hash_of("made up", kind, batch, tokens)
    return Task("made_up", kind, False, labels, metric, (metric,), data, {"validation": data}, fingerprint=key)  # type: ignore[arg-type]


def pipelines(only: list[str], batch: int, tokens: int) -> dict[str, Pipeline]:
    """Name → pipeline: vanilla KD first, the other prediction losses, then objectives with mappings."""
    kinds = component_kinds()
    found: dict[str, dict[str, Any]] = {
        VANILLA if kind == "ce" else f"prediction {kind}": {"prediction": {"kind": kind}}
        for kind in kinds["prediction"]
    }
    for kind in kinds["intermediate"]:
        for mapping in kinds["mapping"]:
            without = mapping == "manual" or (mapping == "uniform" and kind in ("attention", "relations"))
            if "none" not in (kind, mapping) and not without:
                found[f"{kind}+{mapping}"] = {"intermediate": {"kind": kind}, "mapping": {"kind": mapping}}
    for name in ("tinybert", "minilm"):  # their layers alone
        preset = PRESETS[name].pipeline
        found[name] = {"intermediate": preset.intermediate.model_dump(), "mapping": preset.mapping.model_dump()}
    training = {"training": {"batch_size": batch, "max_length": tokens, "epochs": 1}}
    chosen = {name: spec for name, spec in found.items() if name == VANILLA or not only or name in only}
    return {name: Pipeline.model_validate(spec | training) for name, spec in chosen.items()}


class Remembered:
    """The teacher's view of one batch, in memory."""

    source = "cached"

    def fetch(self, ids: object, inside: bool = True) -> None:
        """Nothing is to be prepared."""

    def view(self, fetched: Features) -> Features:
        """The features themselves."""
        return fetched


@dataclass
class Marks:
    """The moments between the parts of a step; an accelerator that notes when the gradients are there."""

    machine: Machine
    times: list[float]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.machine.accelerator, name)

    def unscale_gradients(self) -> None:
        """Called by the loop once the gradients are there."""
        self.mark()
        self.machine.accelerator.unscale_gradients()

    def mark(self, *_: object) -> None:
        """Notes the time at which everything that the device was given is done."""
        if self.machine.device.type == "cuda":
            torch.cuda.synchronize(self.machine.device)
        self.times.append(time.perf_counter())

    def parts(self) -> Iterator[float]:
        """Seconds of each part of the step that has ended."""
        return (end - begin for begin, end in zip(self.times, self.times[1:], strict=False))


def step_of(
    plan: RunPlan, teacher: Teacher, student: Any, machine: Machine, view: Features
) -> Callable[[], list[float]]:
    """One step of a plan → seconds of its parts."""
    objective = objective_for(plan, teacher, student[0])
    data = replace(online_data(plan, teacher, student, objective, machine), signals=Remembered())
    training = plan.pipeline.training
    stage = Stage("costs", Path(), plan.task, student[0], objective, data, training, plan.seed, {})
    optimizer = optimizer_for(student[0], objective, training)
    trainee, optimizer = machine.accelerator.prepare(Trainee(student[0], objective, plan.task.kind), optimizer)
    batches = StepPlan(data, training, plan.seed, 0, 1, 0)[0]
    length = 1 if objective.needs.tokens == "first" else None
    hidden = {layer: view.hidden[layer][:, :length].half() for layer in objective.needs.layers}  # as they are kept
    attention = {part: view.attention[part].half() for part in objective.needs.attention}
    batches = [replace(batch, fetched=replace(view, hidden=hidden, attention=attention)) for batch in batches]
    trainee.train()

    def step() -> list[float]:
        marks = Marks(machine, [])
        hooks = [
            student[0].register_forward_pre_hook(marks.mark),
            student[0].register_forward_hook(marks.mark),
            objective.register_forward_hook(marks.mark),
        ]
        optimise(batches, stage, trainee, optimizer, marks)  # type: ignore[arg-type]
        marks.mark()
        for hook in hooks:
            hook.remove()
        return list(marks.parts())

    return step


def measured(given: argparse.Namespace, machine: Machine) -> dict[str, list[list[float]]]:
    """Name of a pipeline → round → seconds of the parts of its step."""
    task = made_up_task(given.kind, given.batch, given.tokens)
    names = [f"scratch:layers={n},hidden={w}" for n, w in zip(given.layers, given.hidden, strict=True)]
    named = pipelines(given.only, given.batch, given.tokens)
    plans = {name: plan_run(task, each, *names, precision=machine.precision) for name, each in named.items()}
    first = plans[VANILLA]
    model, tokenizer = first.teacher.begin(task, machine)
    teacher = Teacher(model.to(machine.device), tokenizer, "", {})
    student = begin(first.student, task, 0, machine, teacher.as_model)
    data = online_data(first, teacher, student, objective_for(first, teacher, student[0]), machine)
    (batch,) = StepPlan(data, first.pipeline.training, 0, 0, 1, 0)[0]
    with torch.no_grad():
        layers = range(given.layers[0] + 1)
        parts = [(name, layer) for name in ("query", "key", "value") for layer in layers[1:]]
        view = forward(model, batch.to(machine.device).inputs, task.kind, layers, attention=parts)
    faster_attention(student[0], machine.device)
    steps = {name: step_of(plan, teacher, student, machine, view) for name, plan in plans.items()}
    taken: dict[str, list[list[float]]] = {name: [] for name in steps}
    for number in range(given.rounds + 1):
        for name, step in steps.items():
            seconds = step()
            if number:  # the first round allocates
                taken[name].append(seconds)
    return taken


def rows_of(taken: dict[str, list[list[float]]]) -> list[dict[str, Any]]:
    """Each pipeline's parts, and the whole, as a share of vanilla KD's step: medians over the rounds of ratios within
    a round."""
    whole = [sum(seconds) for seconds in taken[VANILLA]]
    rows = []
    for name, found in taken.items():
        parts = {
            part: median(seconds[index] / beside for seconds, beside in zip(found, whole, strict=True))
            for index, part in enumerate(PARTS)
        }
        ratio = median(sum(seconds) / beside for seconds, beside in zip(found, whole, strict=True))
        rows.append({"pipeline": name, "ratio": ratio, **parts, "milliseconds": 1000 * median(map(sum, found))})
    return rows


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pair = {"type": int, "nargs": 2, "metavar": ("TEACHER", "STUDENT")}
    parser.add_argument("--layers", default=[6, 3], **pair)
    parser.add_argument("--hidden", default=[384, 384], **pair)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--kind", default="classification", choices=["classification", "tagging"])
    parser.add_argument("--precision", default="float32", choices=["float32", "bf16"])
    parser.add_argument("--only", nargs="+", default=[], help="such as mse+emd; vanilla KD is always there")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        machine = machine_for(RunOptions(precision=given.precision, cache_dir=folder))
        rows = rows_of(measured(given, machine))
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    print(
        f"{device_name(machine.device)}, {given.precision}, {given.kind}, batch {given.batch}, {given.tokens} tokens\n"
    )
    print("| pipeline | step | " + " | ".join(PARTS) + " |\n|" + " --- |" * 6)
    for row in rows:
        figures = " | ".join(f"{row[part]:.2f}" for part in ("ratio", *PARTS))
        print(f"| {row['pipeline']} | {figures} |")


if __name__ == "__main__":
    main()
