"""Weights that change: what they are at each step, how they are written, and what does not go together."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autodistill.history.table import flat
from engine.base.errors import InputError
from engine.pipeline import ConstantWeights, LayersFirst, LinearWeights, Pipeline, Weights
from engine.pipeline.presets import PRESETS
from engine.pipeline.read import Format, dump_pipeline, load_pipeline
from engine.pipeline.schedule import Change, Course, is_constant

TERMS = tuple(Weights.model_fields)
ALL = Weights(intermediate=2.0, prediction=1.0, hard_label=0.5, augmented_prediction=0.25, augmented_hard_label=4.0)
LAYERS = {"intermediate": {"kind": "mse"}}
FIRST = {**LAYERS, "schedule": {"kind": "layers_first", "share": 0.25}}
ANNEALED = {
    "weights": {"hard_label": 1.0},
    "schedule": {"kind": "linear", "prediction": "falls", "hard_label": "rises"},
}


# --- the weights of each step ------------------------------------------------------------------------


@given(st.floats(0.001, 0.999), st.integers(1, 300))
def test_layers_come_first_and_alone(share: float, steps: int) -> None:
    """Against a loop that takes the steps one by one."""
    course = Course(ALL, LayersFirst(share=share), steps)
    stages = [[name for name in TERMS if getattr(course.at(step), name)] for step in range(steps)]
    assert stages == [["intermediate"]] * course.first + [list(TERMS[1:])] * (steps - course.first)
    assert steps == 1 or 1 <= course.first < steps
    assert abs(course.first - share * steps) <= 1
    for name in TERMS:
        assert {getattr(course.at(step), name) for step in range(steps)} <= {0.0, getattr(ALL, name)}


changes = st.fixed_dictionaries({name: st.sampled_from(get_args(Change)) for name in TERMS})


@given(changes, st.integers(1, 60))
def test_a_linear_weight_takes_equal_steps(chosen: dict[str, Change], steps: int) -> None:
    """Against exact fractions: what one loses in a step another gains, and on average either has a half."""
    course = Course(ALL, LinearWeights(**chosen), steps)
    for name, change in chosen.items():
        full = getattr(ALL, name)
        found = [getattr(course.at(step), name) for step in range(steps)]
        grown = [Fraction(2 * step + 1, 2 * steps) for step in range(steps)]
        shares = {"stays": [Fraction(1)] * steps, "rises": grown, "falls": grown[::-1]}[change]
        assert found == pytest.approx([float(share) * full for share in shares])
        assert all(found)


def test_of_weights_that_stay_nothing_is_said() -> None:
    assert Course(ALL, ConstantWeights(), 9).at(3) is None
    assert [Course(ALL, each, 9).notes for each in (ConstantWeights(), LinearWeights(prediction="falls"))] == [(), ()]
    (note,) = Course(ALL, LayersFirst(), 2_000).notes
    assert note == "it learns from layers alone in the first 1,000 of 2,000 steps; its head learns afterwards"


# --- as a part of a pipeline -------------------------------------------------------------------------


@pytest.mark.parametrize("format", get_args(Format))
@pytest.mark.parametrize("parts", [FIRST, ANNEALED], ids=["layers first", "linear"])
def test_it_can_be_written_and_read(format: Format, parts: dict[str, Any], tmp_path: Any) -> None:
    pipeline = load_pipeline(parts)
    file = tmp_path / f"pipeline.{format}"
    file.write_text(dump_pipeline(pipeline, format), "utf-8")
    assert load_pipeline(file) == pipeline
    assert Pipeline.model_validate(pipeline.model_dump(mode="json")) == pipeline
    assert not is_constant(pipeline.schedule)


def test_it_can_be_set() -> None:
    assert load_pipeline("bert_emd", ["schedule.kind=layers_first"]).schedule == LayersFirst()
    chosen = ["schedule.kind=linear", "schedule.intermediate=falls"]
    assert load_pipeline("tinybert", chosen).schedule == LinearWeights(intermediate="falls")
    assert is_constant(load_pipeline("tinybert", ["schedule.kind=constant"]).schedule)


def test_one_that_changes_nothing_leaves_no_trace() -> None:
    """Runs of before have the same key, the same file and the same columns as those that say so."""
    said, unsaid = Pipeline.model_validate({"schedule": {"kind": "constant"}}), Pipeline()
    assert said == unsaid
    assert said.key == unsaid.key == "cff976e8ff69"
    assert "schedule" not in dump_pipeline(said)
    assert "schedule" not in flat(said.model_dump())
    assert len({Pipeline.model_validate(each).key for each in (LAYERS, FIRST, ANNEALED, {})}) == 4


def test_different_schedules_are_different_columns() -> None:
    columns = [flat(Pipeline.model_validate(each).model_dump()) for each in (FIRST, ANNEALED)]
    assert columns[0].items() >= {"schedule": "layers_first", "schedule.share": 0.25}.items()
    assert columns[1].items() >= {"schedule": "linear", "schedule.prediction": "falls"}.items()


def test_tinybert_has_two_stages() -> None:
    assert PRESETS["tinybert"].pipeline.schedule == LayersFirst(share=0.5)
    others = [preset.pipeline.schedule for name, preset in PRESETS.items() if name != "tinybert"]
    assert all(map(is_constant, others))


WRONG = {
    "no layers": ({"schedule": FIRST["schedule"]}, "layers_first needs an intermediate objective"),
    "layers without weight": (
        {**FIRST, "weights": {"intermediate": 0.0}},
        "objective with a weight above 0; without, the schedule is constant",
    ),
    "nothing after the layers": (
        {**FIRST, "weights": {"prediction": 0.0}},
        "a weight for what follows: those of prediction and hard_label are 0",
    ),
    "nothing changes": ({"schedule": {"kind": "linear"}}, "schedule linear changes no weight"),
    "a weight of 0 changes": (
        {"schedule": {"kind": "linear", "hard_label": "rises"}},
        "schedule.hard_label rises, and its weight is 0",
    ),
    "layers that are not there change": (
        {"schedule": {"kind": "linear", "intermediate": "falls"}},
        "schedule.intermediate falls, and its weight is 0",
    ),
    "a share of all": ({**FIRST, "schedule": {"kind": "layers_first", "share": 1.0}}, "greater than 0 and less than 1"),
    "another kind's knob": (
        {**LAYERS, "schedule": {"kind": "linear", "intermediate": "falls", "share": 0.5}},
        "linear has no share; it belongs to layers_first",
    ),
    "no such change": (
        {**LAYERS, "schedule": {"kind": "linear", "intermediate": "fall"}},
        "allowed: stays, falls, rises. Did you mean falls?",
    ),
    "no such kind": ({"schedule": {"kind": "layer_first"}}, "Did you mean layers_first?"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_go_together_is_refused(case: str) -> None:
    parts, words = WRONG[case]
    with pytest.raises(InputError) as caught:
        load_pipeline(parts)
    assert words in str(caught.value)


def test_all_problems_are_there_at_once() -> None:
    with pytest.raises(InputError) as caught:
        load_pipeline({"schedule": {"kind": "layers_first"}, "weights": {"prediction": 0.0}})
    assert len(caught.value.problems) == 3  # nothing is learned either
