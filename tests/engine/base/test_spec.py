"""What every spec promises: frozen, strict, no unknown keys, no NaN; and that none of them takes it back."""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import autodistill
import engine
from engine.base.spec import Count, Name, Score, Spec, TableRow, Weight


class Knobs(Spec):
    weight: Weight = 1.0
    score: Score = 0.0
    count: Count = 1
    name: Name = "a"


class Cells(TableRow):
    share: float | None = None
    count: Count = 1


def refusal(model: type[Spec], **values: object) -> str:
    """The kind of the one mistake in `values`, as pydantic names it."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(values)
    (error,) = caught.value.errors()
    return error["type"]


def test_a_spec_cannot_be_changed() -> None:
    knobs = Knobs()
    with pytest.raises(ValidationError, match="frozen"):
        knobs.weight = 2.0
    assert knobs == Knobs()
    assert len({knobs, Knobs(), Knobs(weight=2)}) == 2


@pytest.mark.parametrize("model", [Knobs, Cells])
def test_an_unknown_key_is_refused(model: type[Spec]) -> None:
    assert refusal(model, weihgt=1.0) == "extra_forbidden"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_only_finite_numbers(value: float) -> None:
    assert {refusal(Knobs, weight=value), refusal(Knobs, score=value), refusal(Cells, share=value)} == {"finite_number"}


def test_types_are_strict_but_a_whole_number_is_a_number() -> None:
    assert refusal(Knobs, count="3") == refusal(Knobs, count=3.0) == refusal(Knobs, count=True) == "int_type"
    assert refusal(Knobs, weight="1") == "float_type"
    assert refusal(Knobs, name=3) == "string_type"
    assert Knobs(weight=2).weight == 2.0


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers())
def test_ranges(number: float, whole: int) -> None:
    def allowed(**values: object) -> bool:
        try:
            Knobs.model_validate(values)
        except ValidationError:
            return False
        return True

    assert allowed(weight=number) == (number >= 0)
    assert allowed(score=number) == (-1 <= number <= 1)
    assert allowed(count=whole) == (whole >= 1)


def test_a_name_has_letters() -> None:
    assert refusal(Knobs, name="") == "string_too_short"


def test_cells_of_a_table_are_read_as_numbers() -> None:
    row = Cells.model_validate({"share": "0.25", "count": "3"})
    assert (row.share, row.count) == (0.25, 3)
    assert Cells().share is None
    assert refusal(Cells, count="three") == "int_parsing"
    assert refusal(Cells, count="0") == "greater_than_equal"


def specs(model: type[Spec]) -> Iterator[type[Spec]]:
    for each in model.__subclasses__():
        yield each
        yield from specs(each)


def test_no_spec_takes_a_promise_back() -> None:
    for package in (engine, autodistill):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    ours = {each for each in specs(Spec) if each.__module__.startswith(("engine.", "autodistill."))}
    assert len(ours) > 30
    for each in ours:
        config = each.model_config
        kept = config["frozen"], config["extra"], config["allow_inf_nan"], config["strict"]
        assert kept == (True, "forbid", False, not issubclass(each, TableRow)), each
