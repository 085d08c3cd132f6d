"""Figures of an evaluation and of importance: a panel a dataset, and the points and cells that belong there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from autodistill.evaluation.figures import (
    draw,
    draw_front,
    front,
    mean_shares,
    predicted_against_actual,
    search_for_theta,
    shares,
    top_against_random,
)
from autodistill.evaluation.importance import Importance, MeanShare, OfRuns, Share
from autodistill.evaluation.leave_one_out import HeldOut, leave_one_out
from autodistill.ranking.past import target
from autodistill.ranking.simple import mean_rank
from engine.run.result import Candidate, Member, TeamResult
from tests.autodistill.made_up import everywhere_the_same, made_up
from tests.records import made_record


def held_out(datasets: int, repeats: int = 1) -> list[HeldOut]:
    return leave_one_out(mean_rank, made_up(everywhere_the_same, datasets=datasets, repeats=repeats))


@pytest.fixture(name="five", scope="module")
def _five() -> list[HeldOut]:
    return held_out(5, repeats=2)


def test_the_files_are_pictures(tmp_path: Path, five: list[HeldOut]) -> None:
    paths = draw(five, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["predicted.png", "top_5.png"]
    for path in paths:
        pixels = matplotlib.image.imread(path)
        assert min(pixels.shape[:2]) > 300
        ink = pixels[..., :3].min(axis=2) < 0.95
        assert 0.005 < ink.mean() < 0.5
        assert ink[:, : ink.shape[1] // 2].any()
        assert ink[:, ink.shape[1] // 2 :].any()


@pytest.mark.parametrize("datasets", [2, 4, 5, 9])
def test_every_dataset_has_one_panel_with_its_name_and_figure(datasets: int) -> None:
    found = held_out(datasets)
    titles = [axes.get_title(loc="left") for axes in predicted_against_actual(found).axes]
    assert titles == [f"{each.dataset}   ρ = {each.measures['spearman']:.2f}" for each in found]


def test_a_panel_shows_where_each_run_was_put_and_where_it_came(five: list[HeldOut]) -> None:
    figure = predicted_against_actual(five)
    for axes, each in zip(figure.axes, five, strict=True):
        (points,) = axes.collections
        expected = np.stack([each.runs.predicted, target(each.runs)], axis=1)
        np.testing.assert_allclose(np.asarray(points.get_offsets()), expected)


def test_without_a_figure_the_name_stands_alone(five: list[HeldOut]) -> None:
    first = HeldOut("few", five[0].runs, {}, five[0].rank)
    (axes,) = predicted_against_actual([first]).axes
    assert axes.get_title(loc="left") == "few"


def test_the_first_five_stand_beside_all_configurations(five: list[HeldOut]) -> None:
    """They are called so: picks are others."""
    (axes,) = top_against_random(five).axes
    assert "first 5 in the order" in axes.get_title(loc="left")
    assert [label.get_text() for label in axes.get_yticklabels()] == [each.dataset for each in five]
    assert axes.yaxis_inverted(), "the first dataset is the uppermost"
    assert len(axes.collections) == len(five)
    for points, each in zip(axes.collections, five, strict=True):
        means = each.runs.groupby("configuration")[["predicted", "ratio"]].mean()
        top = means.sort_values("predicted", ascending=False).ratio[:5]
        assert len(means) == 12
        np.testing.assert_allclose(sorted(np.asarray(points.get_offsets())[:, 0]), sorted(top))
        assert (pd.Series(np.asarray(points.get_offsets())[:, 1]).nunique()) == 1


def test_the_search_that_found_the_best_distribution_is_drawn() -> None:
    first, second = [0.5, 0.6, 0.7, 0.8], [0.5, 0.4, 0.3, 0.2]
    history = pd.DataFrame({"search": [1] * 4 + [2] * 4, "step": [1, 2, 3, 4] * 2, "a": first + second})
    history["b"] = 1 - history.a
    members = [Member(name=name, parameters=1, scores={}) for name in "ab"]
    tried = [Candidate(distribution=[0.8, 0.2], score=0.7), Candidate(distribution=[0.2, 0.8], score=0.9)]
    team = TeamResult(teachers=members, distribution=[0.2, 0.8], candidates=tried)
    theta, scores = search_for_theta(team, history, "accuracy").axes
    assert [line.get_label() for line in theta.lines[:2]] == ["a", "b"]
    assert np.allclose(theta.lines[0].get_ydata(), second)
    assert "search 2 of 2" in theta.get_title("left")
    assert np.allclose(scores.collections[0].get_offsets(), [[1, 0.7], [2, 0.9]])
    alone = search_for_theta(team, history[history.search == 2], "accuracy").axes[0]
    assert "search" not in alone.get_title("left")


@pytest.mark.parametrize("kind", ["single", "pairs"])
def test_shares_stand_in_bars_and_cells(kind: Literal["single", "pairs"]) -> None:
    """A mean without an interval has no line, and what does not vary in a dataset no cell."""
    own = {"a × b": Share(share=0.9, low=0.8, high=1.0)}
    both = {"a × b": Share(share=0.3, low=0.2, high=0.4), "a × c": Share(share=0.1, low=0.0, high=0.2)}
    datasets = {
        name: OfRuns(dataset=name, runs=40, explained=0.5, single=each, pairs=each)
        for name, each in {"one": own, "other": both}.items()
    }
    means = {
        "a × b": MeanShare(share=0.6, low=0.3, high=0.9, datasets=2),
        "a × c": MeanShare(share=0.1, low=None, high=None, datasets=1),
    }
    found = Importance(meta_data="", runs=80, single=means, pairs=means, datasets=datasets, left_out={}, notes=[])
    left, right = shares(found, kind).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["a × b", "a × c"]
    assert [bar.get_width() for bar in left.patches] == [0.6, 0.1]
    assert [list(line.get_xdata()) for line in left.lines] == [[0.3, 0.9]]
    assert ("beyond each alone" in left.get_xlabel()) == (kind == "pairs")
    assert {text.get_position(): text.get_text() for text in right.texts} == {
        (0, 0): "0.90",
        (1, 0): "0.30",
        (1, 1): "0.10",
    }
    assert [label.get_text() for label in right.get_xticklabels()] == ["one", "other"]
    assert left.yaxis_inverted(), "the first row is the upper one"
    (alone,) = mean_shares(found, kind).axes
    assert [text.get_text() for text in alone.texts] == ["a × b", "a × c"]
    assert [bar.get_width() for bar in alone.patches] == [0.6, 0.1]
    assert [list(line.get_xdata()) for line in alone.lines] == [[0.3, 0.9]]
    assert alone.yaxis_inverted()


def test_the_front_has_each_student_and_their_teacher(tmp_path: Path) -> None:
    bounds = {"test": {"accuracy": [0.7, 0.9]}}
    results = [
        made_record(
            student=student,
            split="test",
            latency_ms=latency,
            teacher_latency_ms=12.0,
            scores={"student": {"test": {"accuracy": score}}, "teacher": {"test": {"accuracy": 0.92}}},
            intervals={"student": bounds},
        )
        for student, latency, score in (("layers:3", 5.0, 0.88), ("lstm", 1.0, 0.8))
    ]
    (axes,) = front(results).axes
    assert {text.get_text() for text in axes.texts} == {"layers:3", "lstm", "teacher"}
    points = [tuple(each.get_offsets()[0]) for each in axes.collections]
    assert points == [(5.0, 0.88), (1.0, 0.8), (12.0, 0.92)]
    assert [tuple(line.get_ydata()) for line in axes.lines] == [(0.7, 0.9)] * 2
    assert axes.get_title(loc="left") == "accuracy on test"
    assert matplotlib.image.imread(draw_front(results, tmp_path)).std() > 0
