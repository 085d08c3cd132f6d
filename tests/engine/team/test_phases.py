"""The search in two phases: who is found out, what is handed out, and that it goes on after a kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.base.errors import NonFiniteLossError, RunError
from engine.team.phases import Found, Search, handing_out
from engine.team.theta import Theta
from engine.training.state import Clock
from tests.engine.team.learners import Batch, TwoLayers

INPUTS, CLASSES, ROWS, SIZE = 8, 3, 256, 16


def examples(seed: int, useless: int = 3) -> Batch:
    """Rows with the logits of one teacher that knows the answer, and of some with random weights.

    As those of transformers, logits of random weights are small, and mostly the same for every row.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    inputs, truth = normal(ROWS, INPUTS), normal(INPUTS, CLASSES)
    good = 1.4 * inputs @ truth
    random = [
        0.08 * normal(1, CLASSES) + 0.02 * torch.tanh(inputs @ normal(INPUTS, INPUTS)) @ normal(INPUTS, CLASSES)
        for _ in range(useless)
    ]
    return Batch(inputs, torch.stack([good, *random]), good.argmax(-1))


class Halves:
    def __init__(self, rows: Batch, seed: int):
        self.rows, self.seed = rows, seed
        self.parts = np.array_split(np.random.default_rng(seed).permutation(ROWS), 2)

    def __call__(self, step: int) -> tuple[Batch, Batch]:
        random = np.random.default_rng([self.seed, step])
        chosen = [torch.from_numpy(random.choice(part, SIZE, replace=False)) for part in self.parts]
        rows = self.rows
        first, second = (Batch(rows.inputs[ids], rows.logits[:, ids], rows.labels[ids]) for ids in chosen)
        return first, second


def searching(folder: Path, seed: int = 0, steps: int = 400, update: str = "sswo", **changes: Any) -> Search:
    gold = changes.pop("gold", False)
    return Search(
        student=TwoLayers(INPUTS, CLASSES, seed=seed, gold=gold, learning_rate=0.02),
        batches=Halves(examples(seed), seed),
        theta=Theta(4, 1e-3, 1e-3, update),  # type: ignore[arg-type]
        **{
            "steps": steps,
            "dropped": 3,
            "candidates": 5,
            "second_order": gold,
            "warmup": 0.1,
            "seed": seed,
            "folder": folder,
            "checkpoint_seconds": 0.0,
            "report": lambda step, shares: None,
        }
        | changes,
    )


@pytest.mark.parametrize("gold", [False, True], ids=["distillation loss", "gold labels"])
@pytest.mark.parametrize("seed", range(10))
def test_one_good_teacher_among_useless_ones_is_found(gold: bool, seed: int, tmp_path: Path) -> None:
    found = searching(tmp_path, seed, gold=gold).run(keep=False)
    ends = found.history[found_half(found) - 1]
    assert ends[0] > 0.255
    assert ends[0] == max(ends)
    assert sorted(found.dropped) == [1, 2, 3]
    assert found.candidates[-1] == [1, 0, 0, 0]


def found_half(found: Found) -> int:
    return len(found.history) // 2


@pytest.mark.parametrize("update", ["sswo", "cr"])
def test_theta_is_a_distribution_at_every_step(update: str, tmp_path: Path) -> None:
    found = searching(tmp_path, steps=60, update=update, dropped=2).run(keep=False)
    shares = np.array(found.history)
    assert shares.shape == (60, 4)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-12)
    assert (shares >= 0).all()
    assert (shares[:30] > 0).all()
    assert ((shares[30:] == 0).sum(1) == 2).all()
    assert sorted(np.flatnonzero(shares[30] == 0)) == sorted(found.dropped)
    assert set(np.argsort(shares[29])[:2]) == set(found.dropped)


def test_sswo_moves_one_member_a_step_and_cr_all(tmp_path: Path) -> None:
    for update, moved in (("sswo", 1), ("cr", 4)):
        shares = np.array(searching(tmp_path, steps=20, update=update, dropped=0).run(keep=False).history)
        scaled = shares[1:] / shares[:-1]
        common = np.array([np.median(row) for row in scaled])
        apart = (np.abs(scaled - common[:, None]) > 1e-9).sum(1)
        assert (apart <= 1).all() if moved == 1 else (apart >= 2).all()


@pytest.mark.parametrize("steps, candidates, expected", [(20, 5, [11, 13, 15, 17, 19]), (7, 2, [4, 6]), (4, 9, [2, 3])])
def test_candidates_come_evenly_from_phase_2(steps: int, candidates: int, expected: list[int], tmp_path: Path) -> None:
    found = searching(tmp_path, steps=steps, candidates=candidates).run(keep=False)
    assert sorted(handing_out(steps, candidates)) == expected
    assert found.candidates == [found.history[step] for step in expected]


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", [7, 20, 21, 33], ids=["phase 1", "the last of it", "phase 2", "later"])
def test_a_search_goes_on_where_it_was_killed(at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(step: int, shares: list[float]) -> None:
        if step == at:
            raise Killed

    whole = searching(tmp_path / "whole", steps=40).run(keep=False)
    monkeypatch.setattr(Clock, "checkpoint_due", lambda clock: True)
    with pytest.raises(Killed):
        searching(tmp_path / "killed", steps=40, report=killed).run()
    last = searching(tmp_path / "killed", steps=40)
    assert last.run() == whole
    assert min(last.student.seen) == at - 1  # the step under way was done again, and none before


def test_ctrl_c_loses_no_step(ctrl_c: Callable[[], None], tmp_path: Path) -> None:
    def pressed(step: int, shares: list[float]) -> None:
        if step == 7:
            ctrl_c()

    whole = searching(tmp_path / "whole", steps=40).run(keep=False)
    with pytest.raises(KeyboardInterrupt):
        searching(tmp_path / "stopped", steps=40, report=pressed, checkpoint_seconds=3600.0).run()
    last = searching(tmp_path / "stopped", steps=40)
    assert last.run() == whole
    assert min(last.student.seen) == 7  # counted from 0


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    searching(tmp_path, steps=10).run()
    with pytest.raises(RunError, match="not a checkpoint of this run"):
        replace(searching(tmp_path, steps=12), student=TwoLayers(INPUTS + 1, CLASSES)).run()


def test_a_loss_that_is_not_finite_is_said(tmp_path: Path) -> None:
    broken = searching(tmp_path, steps=10)
    broken.batches.rows.logits[:] = torch.nan
    with pytest.raises(NonFiniteLossError, match="the validation loss is not a finite number at step 1"):
        broken.run(keep=False)
