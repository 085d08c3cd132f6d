"""The candidates of a search, and those that the time allows."""

from __future__ import annotations

import pytest

from autodistill.recommend.contenders import MOST_OF_THE_TIME, Contender, contenders_of, within_the_time
from autodistill.recommend.record import in_words
from autodistill.recommend.request import Request
from autodistill.recommend.search_record import Known, SearchRecord, Trained
from autodistill.recommend.space import pipelines
from engine import Pipeline
from engine.base.errors import InputError
from engine.pipeline import Training
from tests.records import made_prior
from tests.toys import toy_task


def test_a_contender_has_a_name_of_its_own() -> None:
    one, *_, other = (each.for_task(toy_task("single")) for each in pipelines("classification"))
    made = [Contender(student, each.model_dump(), each.key) for student in ("a", "b") for each in (one, other)]
    assert len({each.name for each in made}) == 4
    assert made[1].words == in_words(other.model_dump())


def test_every_student_has_every_pipeline_that_it_can_learn_by() -> None:
    request = Request(
        task=toy_task("single"), students=("layers:1", "static"), pipeline=Pipeline(training=Training(epochs=3))
    )
    every = contenders_of(request)
    count = {student: [each.student for each in every.values()].count(student) for student in request.students}
    assert count["layers:1"] == len([*pipelines("classification")])
    assert 0 < count["static"] < count["layers:1"]
    assert all(name == each.name for name, each in every.items())
    assert {each.pipeline["training"]["epochs"] for each in every.values()} == {3}


def record(**seconds: float) -> SearchRecord:
    known = {name: Known(seconds=each, before=1.0, expected=0.0, latency_ms=1.0) for name, each in seconds.items()}
    about = {"identity": "0", "task": "t", "metric": "accuracy", "teacher": "big", "error": None, "prepared": 10.0}
    return SearchRecord(prior=made_prior(), candidates=known, **about)


def test_what_takes_a_part_of_the_time_may_be_tried() -> None:
    made = record(fast=9.0, middle=29.0, slow=80.0)
    assert within_the_time(made, None) == ["fast", "middle", "slow"]
    assert within_the_time(made, 10 + 30 / MOST_OF_THE_TIME) == ["fast", "middle"]
    assert within_the_time(made, 10 + 29 / MOST_OF_THE_TIME) == ["fast"]
    assert within_the_time(made, 10 + 31) == ["fast"]
    assert within_the_time(made, 10 + 10) == ["fast"], "where none takes a third, what fits at all"
    with pytest.raises(InputError, match=r"preparing took 0\.2 minutes; got 0\.3 minutes; allowed: at least 0\.3"):
        within_the_time(made, 19.0)


def test_what_was_begun_stays() -> None:
    step = Trained(candidate="slow", epochs=1, score=0.5, seconds=1.0, over=False, choice="slow")
    made = record(fast=9.0, slow=80.0).model_copy(update={"steps": [step]})
    assert within_the_time(made, 60.0) == ["fast", "slow"]
    assert within_the_time(made, 15.0) == ["slow"], "though no other one fits"


def test_what_was_begun_does_not_keep_others_from_being_tried() -> None:
    """A search in a tight time that was stopped went on with nothing but what it had begun."""
    step = Trained(candidate="other", epochs=1, score=0.5, seconds=1.0, over=False, choice="other")
    made = record(fast=15.0, other=16.0, slow=80.0)
    for steps in ([], [step]):
        assert within_the_time(made.model_copy(update={"steps": steps}), 50.0) == ["fast", "other"]
