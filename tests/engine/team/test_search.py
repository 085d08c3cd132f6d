"""AutoSKDBERT in whole runs: what a search writes, which candidate stays, and whom it drops."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from engine.base.options import RunOptions
from tests.engine.conftest import Ear
from tests.engine.team.runs import OTHER, SMALL, quick, spec


def test_autoskd_writes_what_it_did(options: RunOptions, tmp_path: Path, ear: Ear) -> None:
    folder = tmp_path / "run"
    result = quick(options, folder, spec("autoskd", candidates=2, dropped=1), ear)
    rows = list(csv.DictReader((folder / "theta.csv").read_text("utf-8").splitlines()))
    names = [member.name for member in result.team.teachers]
    shares = np.array([[float(row[name]) for name in names] for row in rows])
    assert len(rows) == ear.advanced["search for θ"] == 6  # as many steps as one training
    assert np.allclose(shares.sum(1), 1, atol=1e-5)
    assert ((shares == 0).sum(1) == [0, 0, 0, 1, 1, 1]).all()
    tried = [candidate.distribution for candidate in result.team.candidates]
    assert np.allclose(tried, shares[[4, 5]], atol=1e-5)
    best = max(result.team.candidates, key=lambda candidate: candidate.score)
    assert result.student_score == best.score
    assert result.team.distribution == best.distribution
    assert {"search", "student", "signals"} <= result.stage_seconds.keys()


def test_the_best_candidate_is_what_a_run_with_its_distribution_is(options: RunOptions, tmp_path: Path) -> None:
    found = quick(options, tmp_path / "searched", spec("autoskd"))
    alone = quick(options, tmp_path / "alone", spec("stochastic", distribution=found.team.distribution))
    assert alone.history == found.history
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("searched", "alone"))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_members_smaller_than_the_student_are_dropped_by_default(options: RunOptions, tmp_path: Path) -> None:
    """The teacher and all members but SMALL have fewer parameters."""
    student = "scratch:layers=1,hidden=24,heads=1"
    members = [SMALL, OTHER, "scratch:layers=2,hidden=8,heads=1"]
    result = quick(options, tmp_path / "run", spec("autoskd", members=members), student=student)
    smaller = sum(member.parameters < result.parameters for member in result.team.teachers)
    assert smaller == 3
    for each in result.team.candidates:
        assert sum(share == 0 for share in each.distribution) == 2  # two stay
    team = spec("autoskd", members=[SMALL, "scratch:layers=1,hidden=48,heads=1"])
    result = quick(options, tmp_path / "other", team, student=student)
    for each in result.team.candidates:
        assert sum(share == 0 for share in each.distribution) == 1  # the teacher


def test_a_grid_of_searches(options: RunOptions, tmp_path: Path) -> None:
    wide = spec("autoskd", theta_learning_rate=[1e-3, 0.05], dropped=[0, 1])
    result = quick(options, tmp_path / "run", wide)
    assert len(result.team.candidates) == 2 * 2 * 2
    zeros = [sum(share == 0 for share in each.distribution) for each in result.team.candidates]
    assert zeros == [0, 0, 1, 1, 0, 0, 1, 1]
    spread = [max(each.distribution) - min(each.distribution) for each in result.team.candidates]
    assert spread[4] > 5 * spread[0]


def test_second_order_and_gold_labels(options: RunOptions, tmp_path: Path) -> None:
    plain = quick(options, tmp_path / "plain", spec("autoskd"))
    second = quick(options, tmp_path / "second", spec("autoskd", second_order=True))
    gold = quick(options, tmp_path / "gold", spec("autoskd", second_order=True, validation="hard_label"))
    steps = [
        len((tmp_path / name / "theta.csv").read_text("utf-8").splitlines()) - 1 for name in ("plain", "second", "gold")
    ]
    assert steps == [6, 4, 4]  # 2 epochs of 3 steps; a step in second order costs more
    found = [result.team.candidates[-1].distribution for result in (plain, second, gold)]
    assert len({tuple(each) for each in found}) == 3
