"""AutoDistiller: Python's arguments become one request, checked before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autodistill.api import AutoDistiller, evaluation_of
from autodistill.history.store import Store
from engine.base.errors import InputError
from engine.base.options import RunOptions


def test_an_unknown_predictor_is_refused() -> None:
    with pytest.raises(InputError, match="Did you mean ridge"):
        AutoDistiller(predictor="rigde")


@pytest.mark.parametrize(
    "wrong, place",
    [
        ({"top": 0}, "top"),
        ({"student": [3]}, "students"),
        ({"columns": {"max_train": 0}}, "columns.max_train"),
        ({"description": None}, "description"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_named_before_the_data_are_read(wrong: dict[str, Any], place: str, tmp_path: Path) -> None:
    arguments = {"teacher": "./none", "student": "layers:1", **wrong.pop("columns", {}), **wrong}
    with pytest.raises(InputError) as caught:
        AutoDistiller().recommend(tmp_path / "nowhere.csv", **arguments)
    assert all(problem.place.startswith(place) for problem in caught.value.problems)


def test_a_dataset_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file or folder"):
        AutoDistiller().recommend("./nowhere.csv", teacher="./none", student="layers:1")


def test_options_of_the_distiller_are_those_of_every_request(tmp_path: Path) -> None:
    options = RunOptions(device="cpu", cache_dir=str(tmp_path))
    distiller = AutoDistiller(meta_data="published", store="runs.db", predictor="ridge", options=options)
    request = distiller._request(top=3)
    assert (request.meta_data, request.store, request.predictor) == (("published",), "runs.db", "ridge")
    assert (request.options, request.top) == (options, 3)


def test_places_are_taken_as_paths_too(tmp_path: Path) -> None:
    places: dict[str, Any] = {"meta_data": tmp_path / "runs", "store": tmp_path / "store.db", "vectors": tmp_path / "v"}
    request = AutoDistiller(**places, options=RunOptions(cache_dir=tmp_path / "cache"))._request()
    assert request.meta_data == (str(tmp_path / "runs"),)
    assert [request.store, request.vectors] == [str(tmp_path / "store.db"), str(tmp_path / "v")]
    assert request.options.cache == tmp_path / "cache"
    assert Store(tmp_path / "store.db").url == Store(str(tmp_path / "store.db")).url


def test_an_evaluation_is_that_of_the_own_predictor() -> None:
    distiller = AutoDistiller(meta_data=["published"], predictor="mean_rank")
    evaluation, held_out = evaluation_of(distiller._request(), distiller.reporter, ["random"])
    assert AutoDistiller(meta_data="published", predictor="mean_rank").evaluate(compared=["random"]) == evaluation
    assert evaluation.predictor == "mean_rank"
    assert next(iter(evaluation.predictors)) == "mean_rank"
    assert "random" in evaluation.predictors
    assert {each.dataset for each in held_out} == evaluation.datasets.keys()
