"""What a study consists of is worked out: from all of its parts, datasets and models that can be used."""

from __future__ import annotations

from collections import Counter

import pytest

from autodistill.study.design import core_of
from autodistill.study.planning import Planned, plan_study
from engine.base.errors import InputError
from tests.autodistill.study.conftest import STUDENT, TEACHER, a_study

Data = dict[str, str]


def planned(data: Data, *names: str, **more: object) -> Planned:
    return plan_study(a_study(data, *names, **more), "float32")


def test_the_parts_of_a_study_are_all_of_it(data: Data) -> None:
    parts: list[dict[str, object]] = [
        {"datasets": [data["single"]], "rows": [20, 30]},
        {"datasets": [data["pair"]], "students": ["static"], "design": {"core": 1}, "training": {"epochs": 2}},
        {"datasets": [data["single"]], "rows": [30], "design": {"core": 4, "repeated": 0.0}},
    ]
    found = planned(data, "regression", parts=parts)
    samples = [(sample.source.data, sample.rows) for sample in found.samples]
    assert samples == [(data["single"], 20), (data["single"], 30), (data["pair"], None)]
    made = Counter((job.source.data, job.rows) for job in found.jobs)
    assert made == {
        (data["single"], 20): 3,
        (data["single"], 30): 4,
        (data["pair"], None): 1,
    }  # three of the four are the first part's
    epochs = {(job.source.data, job.pipeline["training"]["epochs"]) for job in found.jobs}
    assert epochs == {(data["single"], 1), (data["pair"], 2)}
    (other,) = planned(data, "pair", students=["static"], design={"core": 1}, training={"epochs": 2}).jobs
    assert other in found.jobs


def test_a_part_may_have_nothing_that_can_be_used(data: Data) -> None:
    parts = [{"datasets": ["no/such/folder"]}, {"datasets": [data["single"]]}]
    found = planned(data, parts=parts)
    assert len(found.jobs) == 3
    assert "no/such/folder" in found.left_out[0]


def test_more_rows_than_there_are_is_no_other_task(data: Data) -> None:
    found = planned(data, rows=[20, 40, 400, 4000])
    assert [sample.rows for sample in found.samples] == [20, 40]


def test_what_does_not_go_together_is_counted_with_its_reason(data: Data) -> None:
    how = {"design": {"core": 40, "repeated": 0.0}, "students": ["scratch:layers=2,hidden=16,heads=2"]}
    found = planned(data, **how, teachers=[STUDENT])
    twins = sum(bool(each.augmentation.operators) for each in core_of(a_study(data, **how)))
    assert len(found.jobs) + sum(found.refused.values()) == 40 + twins
    assert found.refused
    assert all("layer" in reason for reason in found.refused)


def test_a_student_that_cannot_do_a_task_leaves_it_to_the_others(data: Data) -> None:
    found = planned(data, "single", "tagging", students=["static", STUDENT], rows=[20, 30])
    students = {(job.source.data, job.student) for job in found.jobs}
    assert students == {(data["single"], "static"), (data["single"], STUDENT), (data["tagging"], STUDENT)}
    (said,) = found.left_out
    assert f"tagging with {TEACHER} and static: " in said
    assert "knows no order of words" in said


def test_a_dataset_that_cannot_be_used_is_left_out(data: Data) -> None:
    study = a_study(data | {"gone": "no/such/folder"}, "gone", "single")
    found = plan_study(study, "float32")
    assert len(found.left_out) == 1
    assert "no/such/folder" in found.left_out[0]
    assert {sample.source.data for sample in found.samples} == {data["single"]}
    with pytest.raises(InputError, match="none can be used"):
        plan_study(a_study({"gone": "no/such/folder"}, "gone"), "float32")


def test_a_message_names_few_of_many_reasons() -> None:
    many = {str(number): f"no/such/folder{number}" for number in range(5)}
    with pytest.raises(InputError, match="none can be used.*folder0.*folder2.*; and 2 more like these") as caught:
        plan_study(a_study(many, *many), "float32")
    assert "folder3" not in str(caught.value)


def test_parts_plan_together_what_each_plans_alone(data: Data) -> None:
    """They share what was read and drawn, and no run is another one for it."""
    parts = [
        {"rows": [20], "design": {"core": 3, "random": 2}},
        {"rows": [20], "test_rows": 30, "training": {"epochs": 2}},
        {"rows": [30, 20], "students": ["lstm:hidden=8", STUDENT], "space": {"intermediate": ["none"]}},
    ]
    together = planned(data, "single", "regression", design={"core": 6}, parts=parts)
    alone = [planned(data, "single", "regression", design={"core": 6}, parts=[part]) for part in parts]
    identities = [job.identity for each in alone for job in each.jobs]
    assert {job.identity for job in together.jobs} == {*identities}
    assert [sample.rows for sample in together.samples] == [20, 20, 20, 20, 30, 30]
