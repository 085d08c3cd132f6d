"""The search space: whatever can be built, once each, and nothing that cannot run."""

from __future__ import annotations

import hashlib
from itertools import product
from typing import Annotated, Literal

import pytest
from pydantic import Field, create_model

from autodistill.recommend import space
from autodistill.recommend.space import pipelines
from engine import pipeline as spec
from engine.data.task import TASK_KINDS, TaskKind
from engine.pipeline import MIAlpha, Pipeline, PredictionCE, Skip, Spec, Training, Weights, component_kinds


def kinds(component: str, pipelines_of: list[Pipeline]) -> set[str]:
    return {getattr(pipeline, component).kind for pipeline in pipelines_of}


def tried() -> dict[str, list[str]]:
    """The kinds of every component, but those that the space leaves out."""
    left_out = {each.model_fields["kind"].default for each in space.UNTRIED}
    return {
        component: [kind for kind in names if kind not in left_out] for component, names in component_kinds().items()
    }


def test_the_space_of_a_study_under_way_stays_as_it_is() -> None:
    """Its order counts, too: a study draws by number."""
    known = {"none", "ce", "mse", "l2", "cos", "pkd", "mi_alpha"}
    for kind, count, digest in (("classification", 1288, "3e42da578ee51dd8"), ("regression", 322, "5456b7c7efc0f66d")):
        keys = [pipeline.key for pipeline in pipelines(kind) if pipeline.intermediate.kind in known]
        assert (len(keys), hashlib.sha256("".join(keys).encode()).hexdigest()[:16]) == (count, digest)


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_every_pipeline_can_run_on_its_kind_of_task(kind: TaskKind) -> None:
    found = list(pipelines(kind))
    assert found
    assert not [problem for pipeline in found for problem in pipeline.problems_with(kind)]
    assert all(Pipeline.model_validate(pipeline.model_dump()) == pipeline for pipeline in found)


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_no_pipeline_is_there_twice(kind: TaskKind) -> None:
    keys = [pipeline.key for pipeline in pipelines(kind)]
    assert len(set(keys)) == len(keys)


def test_the_space_is_every_combination() -> None:
    """mi_alpha at 5 values of α with 2 critics, and the other objectives; or nothing from hidden states."""
    known = tried()
    others = [kind for kind in known["intermediate"] if kind != "mi_alpha"]
    intermediates = [*others, *product(("mi_alpha",), range(5), range(2))]
    found = [
        combination
        for combination in product(
            intermediates,
            known["mapping"],
            (*product(("ce",), (1, 2, 4)), "mse"),
            (0, 1, *space.STACKS),  # weight of the hard label, or an augmentation policy with its own weights
        )
        if (combination[0] == "none") == (combination[1] == "none")
    ]
    assert len(list(pipelines("classification"))) == len(found)


def test_a_student_is_offered_what_it_can_learn() -> None:
    every = kinds("intermediate", list(pipelines("classification")))
    assert kinds("intermediate", list(pipelines("classification", student="lstm"))) == every - {"pkd"}
    of_static = list(pipelines("classification", student="static"))
    assert kinds("intermediate", of_static) == kinds("mapping", of_static) == {"none"}
    assert list(pipelines("classification", student="scratch")) == list(pipelines("classification"))


def test_regression_learns_by_mse_alone() -> None:
    found = list(pipelines("regression"))
    assert kinds("prediction", found) == {"mse"}
    without_classes = [p for p in pipelines("classification") if p.prediction and p.prediction.kind == "mse"]
    assert found == without_classes


@pytest.mark.parametrize("kind", ["classification", "tagging", "question_answering"])
def test_every_kind_of_component_is_tried_but_superfluous_ones(kind: TaskKind) -> None:
    found, known = list(pipelines(kind)), tried()
    for component in ("intermediate", "mapping"):
        assert kinds(component, found) == set(known[component])
    operators = {operator for pipeline in found for operator in pipeline.augmentation.kinds}
    assert operators == set(known["augmentation"]) - {"back_translation"}  # which needs a download
    assert kinds("prediction", found) == set(known["prediction"])
    assert set(component_kinds()["prediction"]) - set(known["prediction"]) == {"kl"}


def test_the_training_is_the_same_for_all() -> None:
    training = Training(epochs=2, batch_size=8)
    assert {pipeline.training for pipeline in pipelines("tagging", training)} == {training}


def test_a_batch_of_one_leaves_out_what_contrasts_examples() -> None:
    found = list(pipelines("classification", Training(batch_size=1)))
    assert kinds("intermediate", found) == set(tried()["intermediate"]) - {"mi_alpha"}


# --- it grows ----------------------------------------------------------------------------------


def test_more_values_of_a_knob_are_more_pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(pipelines("classification"))
    monkeypatch.setitem(space.GRID, PredictionCE, {"temperature": (1.0, 2.0, 4.0, 8.0)})
    added = set(pipelines("classification")) - set(before)
    assert {p.prediction.temperature for p in added if isinstance(p.prediction, PredictionCE)} == {8.0}
    assert len(added) == sum(p.prediction == PredictionCE(temperature=4.0) for p in before)


def test_a_knob_that_had_no_row_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(list(pipelines("regression")))
    monkeypatch.setitem(space.GRID, spec.PredictionMSE, {})
    assert len(list(pipelines("regression"))) == before
    augmented = sum(bool(pipeline.augmentation.operators) for pipeline in pipelines("regression"))
    monkeypatch.setitem(space.GRID, Weights, {"hard_label": (0.0, 0.5, 1.0), "prediction": (1.0, 2.0)})
    assert len(list(pipelines("regression"))) == (before - augmented) * 3 + augmented


def test_a_kind_without_a_row_has_its_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(space.GRID, MIAlpha)
    found = {p.intermediate for p in pipelines("regression") if isinstance(p.intermediate, MIAlpha)}
    assert found == {MIAlpha()}


def test_a_new_kind_is_in_the_space_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    class Random(Spec):
        kind: Literal["random"] = "random"

    mapping = Annotated[spec.NoMapping | Skip | spec.Last | spec.EMD | Random, Field(discriminator="kind")]

    wider = create_model("Wider", __base__=Pipeline, mapping=(mapping, spec.NoMapping()))
    before = list(pipelines("classification"))
    monkeypatch.setattr("engine.pipeline.components.MappingSpec", mapping)
    monkeypatch.setattr(space, "Pipeline", wider)
    after = list(pipelines("classification"))
    assert kinds("mapping", after) == {"none", "skip", "last", "emd", "random"}
    assert len(after) - len(before) == sum(pipeline.mapping.kind == "skip" for pipeline in before)
