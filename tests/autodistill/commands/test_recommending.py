"""What was typed after `recommend` and `run --pick`, and what is refused before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from autodistill.commands.advice import duration
from autodistill.commands.recommending import Choice, Wish, _limits, _training, recommend

from autodistill.recommend.costs import cost_parts
from autodistill.recommend.recommend import Limits
from autodistill.recommend.space import pipelines
from engine.base.errors import InputError
from engine.base.progress import SilentReporter


@pytest.mark.parametrize(
    ("typed", "limits"),
    [
        ({}, Limits()),
        ({"budget": "90"}, Limits(seconds=90)),
        ({"budget": "1h30m"}, Limits(seconds=5400)),
        ({"max_params": "500k"}, Limits(parameters=500_000)),
        ({"max_params": "1.5G"}, Limits(parameters=1.5e9)),
        ({"max_latency": "5"}, Limits(latency_ms=5)),
        ({"max_latency": "2.5ms"}, Limits(latency_ms=2.5)),
    ],
)
def test_limits(typed: dict[str, str], limits: Limits) -> None:
    assert _limits(typed) == limits


@pytest.mark.parametrize("text", ["", "soon", "-3", "0", "nan", "3 parsecs"])
def test_limits_that_are_none(text: str) -> None:
    with pytest.raises(InputError) as caught:
        _limits({"budget": text, "max_params": text, "max_latency": text})
    assert [problem.place for problem in caught.value.problems] == [
        "--budget",
        "--max-params",
        "--max-latency",
    ]


def test_only_the_training_can_be_set() -> None:
    assert _training(["training.epochs=3"]).epochs == 3
    with pytest.raises(InputError, match="only training can be set"):
        _training(["prediction.kind=mse"])


@pytest.mark.parametrize(
    "choice",
    [Choice(1, 2), Choice(1, None, pipeline="tinybert"), Choice(None, 2, pipeline="tinybert")],
)
def test_ways_to_choose_that_exclude_each_other(choice: Choice) -> None:
    with pytest.raises(InputError, match="only one of these"):
        choice.check()


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    wish = Wish(
        "data.csv",
        students=["layers:0"],
        limits={"budget": "x"},
        sets=["prediction.kind=mse"],
        predictor="rigde",
        fine_tuning={"epochs": 0},
        out=tmp_path,
    )
    with pytest.raises(InputError) as caught:
        recommend(wish, SilentReporter())
    places = {problem.place for problem in caught.value.problems}
    assert {"--teacher", "--student", "--budget", "--set", "--predictor", "--teacher-epochs"} <= places


def test_what_costs_the_same_is_measured_once() -> None:
    """Each objective with its mapping; each augmentation policy alone, beside which nothing else matters."""
    space = list(pipelines("classification"))
    parts = {(p.intermediate.kind, str(getattr(p.intermediate, "critic", "")), p.mapping.kind) for p in space}
    stacks = {tuple(p.augmentation.kinds) for p in space} - {()}
    measured = {part.key for pipeline in space for part in cost_parts(pipeline)}
    assert len(measured) == len(parts) + len(stacks)


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
