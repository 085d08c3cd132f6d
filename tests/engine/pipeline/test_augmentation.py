"""The augmentation policy as it is written: a stack of operators, each once."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from engine.base.errors import InputError
from engine.pipeline.read import Format, dump_pipeline, load_pipeline


@pytest.mark.parametrize(
    "written",
    [
        "random+mixup",
        "random + mixup",
        ["random", "mixup"],
        [{"kind": "random"}, "mixup"],
        {"operators": "random+mixup"},
        {"operators": [{"kind": "random", "strength": 0.3}, {"kind": "mixup"}], "copies": 1},
    ],
)
def test_a_stack_may_be_written_in_many_ways(written: object) -> None:
    found = load_pipeline({"augmentation": written})
    assert found.augmentation.kinds == ["random", "mixup"]
    assert found == load_pipeline("vanilla_kd", ["augmentation=random+mixup"])


@pytest.mark.parametrize("format", get_args(Format))
def test_a_stack_comes_back_as_it_went(tmp_path: Path, format: Format) -> None:
    pipeline = load_pipeline({"augmentation": {"operators": "mixup+random", "copies": 2}})
    path = tmp_path / f"pipeline.{format}"
    path.write_text(dump_pipeline(pipeline, format), "utf-8")
    assert load_pipeline(path) == pipeline
    assert load_pipeline(path).augmentation.kinds == ["mixup", "random"]


def test_weights_follow_the_augmentation_unless_they_are_said(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[weights]\nhard_label = 0.2\n", "utf-8")
    mine = load_pipeline(path, ["augmentation=mixup"]).weights
    assert (mine.hard_label, mine.augmented_prediction, mine.augmented_hard_label) == (0.2, 1.0, 0.5)
    said = load_pipeline("vanilla_kd", ["augmentation=mixup", "weights.augmented_hard_label=0.0"]).weights
    assert (said.hard_label, said.augmented_prediction, said.augmented_hard_label) == (0.5, 1.0, 0.0)
    assert load_pipeline("mixkd", ["augmentation=none"]) == load_pipeline("vanilla_kd")
    assert load_pipeline("mixkd", ["augmentation.copies=3"]).augmentation.copies == 3


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["augmentation=random+random"], "each operator acts once; twice there: random"),
        (["weights.augmented_prediction=1.0"], "augmented examples have a weight, and augmentation has no"),
        (
            ["augmentation=mixup", "weights.augmented_prediction=0.0", "weights.augmented_hard_label=0.0"],
            "nothing is learned from augmented examples",
        ),
        (["augmentation.operators=[{kind='mixup', strength=0.1}]"], "it belongs to contextual and random and"),
        (["augmentation=mixup+rndom"], "Did you mean random"),
        (["augmentation=3"], "augmentation"),
    ],
)
def test_a_stack_that_is_none_is_refused(sets: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_pipeline("vanilla_kd", sets)
