"""How well the cost of each kind of step is told from a few that are taken: told beside timed, kind by kind.

    python benchmarks/step_costs.py DATA --teacher MODEL [--student layers:3] [--rows 1000] [--rounds 3] [--json]

In each round every kind of step in the search space is told anew, and taken: in turns and in one process, so that the
errors hold where the machine's speed does not. The time of a kind is the median of all rounds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from typing import Any

import numpy as np

from autodistill.recommend.costs import cost_parts
from autodistill.recommend.space import pipelines
from engine import FineTuning, RunOptions
from engine.base.machine import machine_for
from engine.data.load import load_task
from engine.models.start import begin
from engine.pipeline.pipeline import Pipeline
from engine.run.plan import plan_run, with_pipeline
from engine.run.rehearsal import Rehearsal
from engine.run.teacher import prepare_teacher


def named(part: Pipeline) -> str:
    """A kind of step in a few words."""
    critic = getattr(part.intermediate, "critic", None)
    objective = " ".join([part.intermediate.kind, *([critic.kind] if critic else []), part.mapping.kind])
    return "+".join(part.augmentation.kinds) or objective.replace("none none", "predictions alone")


def measured(given: argparse.Namespace, cache: str) -> dict[str, dict[str, list[float]]]:
    """Kind of step → the seconds that were `told` and that it has `taken`, round by round."""
    task = load_task(given.data, max_train=given.rows)
    machine = machine_for(RunOptions(precision=given.precision, cache_dir=cache))
    parts = {named(part): part for pipeline in pipelines(task.kind) for part in cost_parts(pipeline)}
    how: dict[str, Any] = {"fine_tuning": FineTuning(epochs=1), "precision": machine.precision}
    plan = plan_run(task, Pipeline(), given.teacher, given.student, **how)
    teacher = prepare_teacher(plan.teacher, task, plan.pipeline.training, machine)
    found: dict[str, dict[str, list[float]]] = {name: {"told": [], "taken": []} for name in parts}
    for _ in range(given.rounds):
        student = begin(plan.student, task, plan.seed, machine, teacher.as_model)
        rehearsal = Rehearsal(plan, task, teacher, student, machine)
        for name, part in parts.items():
            found[name]["told"].append(rehearsal.seconds(with_pipeline(plan, part)))
            found[name]["taken"].append(rehearsal.taken(with_pipeline(plan, part)).step)
    return found


def main() -> None:
    """Prints a table and the relative errors, or all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--student", default="layers:3")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="auto", choices=["auto", "bf16", "float32"])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        found = measured(given, cache)
    told, taken = (np.array([each[what] for each in found.values()]) for what in ("told", "taken"))
    true = np.median(taken, axis=1, keepdims=True)
    errors = {what: np.quantile(abs(each / true - 1), (0.5, 0.9)) for what, each in (("told", told), ("taken", taken))}
    if given.json:
        print(json.dumps({"kinds": found, "errors": {what: each.tolist() for what, each in errors.items()}}))
        return
    print("| kind of step | told, ms | taken, ms |\n| --- | --- | --- |")
    for name, one, other in zip(found, told, true[:, 0], strict=True):
        print(f"| {name} | {1000 * np.median(one):.4g} | {1000 * other:.4g} |")
    for what, (median, ninth) in errors.items():
        print(
            f"one round as {what}, beside the median that was taken: {median:.1%} off, nine in ten at most {ninth:.1%}"
        )


if __name__ == "__main__":
    main()
