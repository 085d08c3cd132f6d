"""A language model with random weights stands for the one that will be trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.augment import language_model
from engine.augment.policy import policy_for
from engine.base.machine import Machine, machine_for
from engine.base.options import RunOptions
from engine.base.progress import SilentReporter
from engine.pipeline.augmentation import Augmentation, Contextual, Mixup
from engine.run.untrained import training_seconds, training_steps, untrained
from tests.toys import toy_task


class Counter(SilentReporter):
    """Remembers how long stages are."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}

    def start(self, stage: str, total: int, done: int = 0, unit: str = "steps", most: bool = False) -> None:
        self.totals[stage] = total


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Machine:
    return machine_for(RunOptions(device="cpu", precision="float32", cache_dir=str(tmp_path)))


def test_it_has_the_size_of_the_trained_one(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "EXAMPLES", 64)
    task = toy_task("single", rows=40, held_out=8)
    spec = Augmentation(operators=(Contextual(strength=0.5), Mixup()))
    with untrained(spec, task, machine) as ready:
        stand_in = policy_for(ready, task, machine)
        (named, mixup) = ready.operators
    assert isinstance(named, Contextual)
    assert not Path(named.model).exists()
    assert (named.strength, mixup) == (0.5, Mixup())
    trained = policy_for(spec, task, machine)
    assert stand_in is not None
    assert trained is not None
    shapes = [
        {name: each.shape for name, each in policy.before[0].model.state_dict().items()}  # type: ignore[attr-defined]
        for policy in (stand_in, trained)
    ]
    assert shapes[0] == shapes[1]


def test_what_needs_no_training_stays(machine: Machine) -> None:
    for spec in (
        Augmentation(),
        Augmentation(operators=(Mixup(),)),
        Augmentation(operators=(Contextual(model="bert"),)),
    ):
        with untrained(spec, toy_task("single"), machine) as ready:
            assert ready is spec


def test_as_many_steps_are_counted_as_are_taken(tmp_path: Path) -> None:
    task, counter = toy_task("single", rows=40, held_out=8), Counter()
    machine = machine_for(RunOptions(device="cpu", precision="float32", cache_dir=str(tmp_path)), counter)
    assert training_seconds(task, task, machine) > 0
    language_model.in_domain(task, machine)
    assert counter.totals["language model of the dataset"] == training_steps(40)
