"""Components: every kind has a name of its own, defaults that run, and knobs that no other kind takes."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from engine.base.spec import Spec
from engine.pipeline.components import (
    MSE,
    Attention,
    CriticSpec,
    IntermediateSpec,
    Manual,
    MappingSpec,
    MIAlpha,
    MLPCritic,
    PredictionSpec,
    Relations,
    Top,
    TransformerCritic,
)
from engine.pipeline.pipeline import component_kinds, component_specs

UNIONS: dict[str, Any] = {
    "intermediate": IntermediateSpec,
    "mapping": MappingSpec,
    "prediction": PredictionSpec,
    "critic": CriticSpec,
}
KINDS = [(component, spec) for component in UNIONS for spec in component_specs()[component]]
NEEDED: dict[type[Spec], dict[str, Any]] = {Manual: {"pairs": ((1, 4), (2, 8))}}
"""Spec → knobs that have no default."""
each_kind = pytest.mark.parametrize("component, spec", KINDS, ids=lambda value: getattr(value, "__name__", value))


def knobs(spec: type[Spec]) -> set[str]:
    return set(spec.model_fields) - {"kind"}


def test_kinds_of_a_component_have_names_of_their_own() -> None:
    for component, names in component_kinds().items():
        assert len(set(names)) == len(names), component


@each_kind
def test_a_kind_is_read_by_its_name_and_comes_back(component: str, spec: type[Spec]) -> None:
    adapter, made = TypeAdapter(UNIONS[component]), spec(**NEEDED.get(spec, {}))
    assert adapter.validate_python({"kind": made.kind, **NEEDED.get(spec, {})}) == made  # type: ignore[attr-defined]
    assert adapter.validate_json(adapter.dump_json(made)) == made
    assert type(adapter.validate_python(made.model_dump())) is spec


@each_kind
def test_every_kind_says_what_it_is(component: str, spec: type[Spec]) -> None:
    assert spec.__doc__
    assert spec.__doc__ != Spec.__doc__


@pytest.mark.parametrize("component", UNIONS)
def test_a_knob_of_another_kind_is_refused(component: str) -> None:
    adapter, refused = TypeAdapter(UNIONS[component]), 0
    for spec, other in product(component_specs()[component], repeat=2):
        for knob in knobs(other) - knobs(spec):
            value = getattr(other(**NEEDED.get(other, {})), knob)
            with pytest.raises(ValidationError) as caught:
                adapter.validate_python({**spec(**NEEDED.get(spec, {})).model_dump(), knob: value})
            assert {error["type"] for error in caught.value.errors()} == {"extra_forbidden"}
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("width, heads", [(128, 8), (20, 5), (8, 1), (20, 7), (8, 16), (9, 2)])
def test_heads_divide_the_width_of_a_critic(width: int, heads: int) -> None:
    if width % heads == 0:
        assert TransformerCritic(width=width, heads=heads).heads == heads
        return
    with pytest.raises(ValidationError, match=f"multiple of heads; got width {width} and heads {heads}"):
        TransformerCritic(width=width, heads=heads)


OUT_OF_RANGE = [
    (MIAlpha, {"alpha": 1.01}),
    (MIAlpha, {"alpha": -0.01}),
    (MIAlpha, {"max_tokens": 1}),
    (MIAlpha, {"level": "word"}),
    (TransformerCritic, {"layers": 0}),
    (MLPCritic, {"learning_rate": 0.0}),
    (MSE, {"projection": "never"}),
    (Attention, {"hidden": -1.0}),
    (Relations, {"heads": 0}),
    (Top, {"teacher_layer": 0}),
]


@pytest.mark.parametrize("spec, wrong", OUT_OF_RANGE, ids=str)
def test_what_is_out_of_range_is_refused(spec: type[Spec], wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        spec(**wrong)
    assert [error["loc"] for error in caught.value.errors()] == [tuple(wrong)]


@pytest.mark.parametrize("spec", [spec for component, spec in KINDS if "temperature" in spec.model_fields])
@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
def test_a_temperature_is_positive_and_finite(spec: type[Spec], temperature: float) -> None:
    with pytest.raises(ValidationError):
        spec(temperature=temperature)


# --- pairs of layers that are named ------------------------------------------------------------------


@pytest.mark.parametrize("pairs", [{"1": 4, "2": 8}, {1: 4, 2: 8}, [[1, 4], [2, 8]], ((1, 4), (2, 8))], ids=str)
def test_pairs_are_a_table_or_lists(pairs: Any) -> None:
    assert Manual(pairs=pairs).pairs == ((1, 4), (2, 8))
    assert hash(Manual(pairs=pairs)) == hash(Manual(pairs=((1, 4), (2, 8))))


FORM = "pairs are numbers of layers, student = teacher"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"pairs": [[1, 4], [2, 8], [1, 4], [2, 8]]}, "twice there: 1 → 4, 2 → 8"),
        ({"pairs": {"1": 4, "01": 4}}, "twice there: 1 → 4"),
        ({"pairs": {"1": 4}, "weights": [1.0, 2.0]}, "got 1 pair and 2 weights"),
        ({"pairs": {"1": 4}, "weights": []}, "got 1 pair and 0 weights"),
        ({"pairs": {"1": 4}, "weights": [0.0]}, "no layer would learn"),
        ({"pairs": {"1": 4}, "weights": [-1.0]}, "greater than or equal to 0"),
        ({"pairs": {"1": 4}, "weights": [float("nan")]}, "finite number"),
        *(({"pairs": pairs}, FORM) for pairs in ({}, [], 4, "1=4", {"a": 4}, {"1": "4"}, {"1": 4.0}, {"1": -4})),
        *(({"pairs": pairs}, FORM) for pairs in ([[1, 4, 5]], [1, 4], [[True, 4]], {"1": None}, {"9" * 40: 1})),
    ],
    ids=str,
)
def test_pairs_that_are_none_are_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Manual(**wrong)


def test_a_projection_that_nothing_reads_is_refused() -> None:
    assert Attention(projection="always", hidden=1.0).projection == "always"
    with pytest.raises(ValidationError, match="their weight, hidden, is 0"):
        Attention(projection="always")
