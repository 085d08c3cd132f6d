"""One pipeline: what goes together, what suits which kind of task, and its key."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.task import TASK_KINDS
from engine.pipeline.augmentation import Augmentation, BackTranslation, Random
from engine.pipeline.components import (
    MSE,
    Attention,
    Manual,
    MIAlpha,
    NoMapping,
    PredictionCE,
    PredictionKL,
    PredictionMSE,
    Relations,
    Skip,
    Top,
    Uniform,
)
from engine.pipeline.pipeline import Pipeline, component_kinds
from engine.pipeline.presets import PRESETS
from engine.pipeline.team import AutoSKD
from engine.pipeline.training import WITH_AUGMENTATION, Training, Weights
from tests.engine.team.runs import spec
from tests.toys import ROWS, toy_task

AUGMENTED = Weights(**WITH_AUGMENTATION)
TEXTS = {"classification", "regression", "multi_label"}


def test_a_team_needs_a_prediction_loss() -> None:
    with pytest.raises(ValueError, match="a team teaches by its predictions, and their weight is 0"):
        Pipeline.model_validate({"team": spec("average"), "weights": {"prediction": 0.0, "hard_label": 1.0}})


# --- its key -----------------------------------------------------------------------------------------


def test_the_key_is_of_what_is_computed_and_not_of_how_it_was_written() -> None:
    same = [
        Pipeline(intermediate=MSE()),
        Pipeline(intermediate=MSE(projection="auto"), mapping=Skip(), weights=Weights(intermediate=1.0)),
        Pipeline.model_validate({"mapping": {"kind": "skip"}, "intermediate": {"kind": "mse"}}),
        Pipeline.model_validate_json(Pipeline(intermediate=MSE()).model_dump_json()),
    ]
    assert len({pipeline.key for pipeline in same}) == 1


def test_everything_that_is_computed_is_in_the_key() -> None:
    different = [
        {},
        {"intermediate": {"kind": "mse"}},
        {"intermediate": {"kind": "mse"}, "mapping": {"kind": "last"}},
        {"intermediate": {"kind": "mse", "projection": "always"}},
        {"prediction": {"kind": "kl"}},
        {"prediction": {"kind": "kl", "temperature": 2.0}},
        {"augmentation": "random"},
        {"augmentation": "mixup"},
        {"augmentation": {"operators": "mixup", "copies": 2}},
        {"team": {"kind": "average", "members": ["a", "b"]}},
        {"team": {"kind": "average", "members": ["b", "a"]}},
        {"weights": {"hard_label": 0.5}},
        {"training": {"epochs": 3}},
    ]
    assert len({Pipeline.model_validate(each).key for each in different}) == len(different)


# --- what goes together ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in component_kinds()["intermediate"] if kind != "none"])
def test_an_intermediate_objective_without_a_mapping_has_the_usual_one(kind: str) -> None:
    usual = Top() if kind == "relations" else Skip()
    assert Pipeline.model_validate({"intermediate": {"kind": kind}}).mapping == usual


@pytest.mark.parametrize("layers", [{"1": 4, "2": 8}, {1: 4, 2: 8}])
def test_a_mapping_may_name_its_layers_alone(layers: dict[Any, int]) -> None:
    found = Pipeline.model_validate({"intermediate": MSE(), "mapping": layers})
    assert found.mapping == Manual(pairs=((1, 4), (2, 8)))
    assert Pipeline.model_validate(found.model_dump()) == found


EMBEDDINGS = Manual(pairs=((0, 0), (1, 2)))


@pytest.mark.parametrize(
    ("intermediate", "mapping", "fits"),
    [
        (Attention(), Uniform(), False),
        (Attention(hidden=0.5), Uniform(), True),
        (Attention(), EMBEDDINGS, False),
        (Attention(hidden=0.5), EMBEDDINGS, True),
        (Attention(hidden=0.5), Manual(pairs=((0, 1),)), False),
        (Relations(), Uniform(), False),
        (Relations(), EMBEDDINGS, False),
        (MSE(), EMBEDDINGS, True),
        (MIAlpha(), Uniform(), True),
    ],
    ids=str,
)
def test_embeddings_have_no_attention(intermediate: Any, mapping: Any, fits: bool) -> None:
    if fits:
        assert Pipeline(intermediate=intermediate, mapping=mapping).mapping == mapping
        return
    with pytest.raises(ValueError, match="compares attention, and embeddings have none: 0 → "):
        Pipeline(intermediate=intermediate, mapping=mapping)


@pytest.mark.parametrize(
    ("parts", "student", "places"),
    [
        ({"intermediate": Attention()}, "lstm", ["intermediate.kind"]),
        ({"intermediate": Relations()}, "lstm", ["intermediate.kind"]),
        ({"intermediate": MSE(), "mapping": Uniform()}, "lstm", ["mapping.kind"]),
        ({"intermediate": MSE(), "mapping": EMBEDDINGS}, "lstm", ["mapping.kind"]),
        ({"intermediate": MSE(), "mapping": Manual(pairs=((1, 4),))}, "lstm", []),
        ({"intermediate": Attention()}, "static", ["intermediate.kind"]),
        ({"intermediate": Attention()}, "scratch", []),
        ({"intermediate": Attention(), "weights": Weights(intermediate=0.0)}, "lstm", []),
    ],
    ids=str,
)
def test_students_without_attention_are_told(parts: dict[str, Any], student: Any, places: list[str]) -> None:
    found = Pipeline(**parts).problems_with("classification", student)
    assert [problem.place for problem in found] == places


KEYS = {
    "mi_alpha": "5073b3d5b99f",
    "vanilla_kd": "cff976e8ff69",
    "mixkd": "775b901ce244",
    "bert_emd": "2863295dd6c2",
    "bert_pkd": "43e27e47982f",
}
"""Presets whose runs lie in stores and studies: a change of what a spec holds would make them unknown."""


def test_pipelines_of_past_runs_keep_their_keys() -> None:
    assert {name: PRESETS[name].pipeline.key for name in KEYS} == KEYS
    operators = [{"kind": "contextual", "strength": 0.4, "top_k": 15}]
    weights = {"hard_label": 0.0, "augmented_prediction": 1.0, "augmented_hard_label": 0.0}
    parts = {"intermediate": MSE(), "augmentation": {"operators": operators}, "weights": weights}
    assert Pipeline(**parts).key == "eb89289e8826"  # what `tinybert` was before attention could be compared
    off = Pipeline.model_validate({"training": {"calibrate": False, "class_weights": "none"}})
    assert off.key == Pipeline().key == "cff976e8ff69"  # what it was before there were calibration and class weights
    for other in (Training(calibrate=True), Training(class_weights="balanced")):
        assert off.model_copy(update={"training": other}).key != off.key


@pytest.mark.parametrize(
    "parts, words",
    [
        ({"mapping": Skip()}, "intermediate and mapping go together"),
        ({"intermediate": MSE(), "mapping": NoMapping()}, "got intermediate mse and mapping none"),
        ({"weights": Weights(prediction=0.0)}, "nothing would be learned"),
        (
            {"intermediate": MSE(), "weights": Weights(intermediate=0.0, prediction=0.0)},
            "all weights are 0: nothing would be learned",
        ),
        ({"intermediate": MIAlpha(), "training": Training(batch_size=1)}, "batch_size must be at least 2"),
        ({"weights": Weights(augmented_prediction=1.0)}, "augmentation has no operators"),
    ],
    ids=str,
)
def test_parts_that_do_not_fit_are_refused(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Pipeline(**parts)


def test_all_that_does_not_fit_is_there_at_once() -> None:
    with pytest.raises(ValueError) as caught:
        Pipeline(mapping=Skip(), weights=Weights(prediction=0.0, augmented_prediction=1.0))
    for words in ("go together", "nothing would be learned", "augmentation has no operators"):
        assert words in str(caught.value)


terms = ("intermediate", "prediction", "hard_label")


@given(st.fixed_dictionaries({term: st.just(0.0) | st.floats(0, 5) for term in terms}))
def test_something_is_learned_wherever_a_term_has_weight(weights: dict[str, float]) -> None:
    if sum(weights.values()):
        assert Pipeline(intermediate=MSE(), weights=Weights(**weights)).weights == Weights(**weights)
    else:
        with pytest.raises(ValueError, match="nothing would be learned"):
            Pipeline(intermediate=MSE(), weights=Weights(**weights))


# --- what suits a task -------------------------------------------------------------------------------

SUITS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "defaults": ({}, set(TASK_KINDS)),
    "classes": ({"prediction": PredictionKL()}, set(TASK_KINDS) - {"regression"}),
    "logits": ({"prediction": PredictionMSE()}, set(TASK_KINDS)),
    "windows": ({"training": Training(window_overlap=8)}, {"question_answering", "classification"}),
    "translations": ({"augmentation": Augmentation(operators=(BackTranslation(),)), "weights": AUGMENTED}, TEXTS),
    "moved words": ({"augmentation": Augmentation(operators=(Random(),)), "weights": AUGMENTED}, set(TASK_KINDS)),
    "scaled logits": ({"team": AutoSKD(members=("a",))}, set(TASK_KINDS) - {"regression"}),
    "mixed logits": ({"team": AutoSKD(members=("a",), update="cr")}, set(TASK_KINDS) - {"regression"}),
    "mixed logits, judged by gold labels": (
        {"team": AutoSKD(members=("a",), update="cr", validation="hard_label", second_order=True)},
        set(TASK_KINDS),
    ),
}
"""Parts of a pipeline → the kinds of tasks on which it can run."""


@pytest.mark.parametrize("case", SUITS)
def test_which_kinds_of_tasks_a_pipeline_suits(case: str) -> None:
    parts, kinds = SUITS[case]
    assert {kind for kind in TASK_KINDS if not Pipeline(**parts).problems_with(kind)} == kinds


@pytest.mark.parametrize("name", ROWS)
def test_for_a_task_nothing_is_open_and_nothing_else_changes(name: str) -> None:
    task, pipeline = toy_task(name, rows=4, held_out=2), Pipeline(training=Training(epochs=3))
    resolved = pipeline.for_task(task, width=384)
    assert resolved.prediction == (PredictionMSE() if task.kind == "regression" else PredictionCE())
    assert resolved.training == pipeline.training.for_task(task, width=384)
    assert resolved.training.epochs == 3
    untouched = {"prediction", "training"}
    assert resolved.model_dump(exclude=untouched) == pipeline.model_dump(exclude=untouched)
    assert resolved.for_task(task) == resolved
    assert not resolved.problems_with(task.kind)
