"""Which runs a study consists of."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from autodistill.history.table import flat
from autodistill.study import design
from autodistill.study.design import (
    core_of,
    for_kind,
    relative_cost,
    space_of,
    task_of,
    twin_of,
    unaugmented,
    with_test,
)
from autodistill.study.planning import Planned, plan_study
from autodistill.study.spec import Source
from engine.base.errors import InputError
from engine.pipeline import Pipeline, Weights
from tests.autodistill.study.conftest import STUDENT, TEACHER, a_study, write_data
from tests.toys import toy_task

Data = dict[str, str]


def planned(data: Data, *names: str, **more: object) -> Planned:
    return plan_study(a_study(data, *names, **more), "float32")


def test_the_core_meets_every_value_and_most_pairs(data: Data) -> None:
    study = a_study(data, design={"core": 42})
    core, space = core_of(study), space_of(study, "classification")
    assert len({pipeline.key for pipeline in core}) == 42
    values = {name: set() for name in ("intermediate", "mapping", "prediction", "augmentation", "weights")}
    for name, found in values.items():
        found.update(design._values(each)[list(each.model_dump()).index(name)] for each in core)
        assert found == {design._values(each)[list(each.model_dump()).index(name)] for each in space}
    kinds = {flat(each.model_dump(exclude_none=True))["intermediate"] for each in core}
    pairs = {(each.intermediate.kind, each.mapping.kind) for each in core}
    assert pairs == {("none", "none"), *itertools.product(kinds - {"none"}, ("skip", "last", "emd"))}


def test_the_core_is_chosen_as_the_definition_says(data: Data) -> None:
    """One by one: of what its pairs are worth that met so far, per cost, the most; then, if it augments, it without."""
    study = a_study(
        data, design={"core": 6}, space={"augmentation": ["none", "random"], "intermediate": ["mse", "none"]}
    )
    space, chosen = space_of(study, "classification"), []
    for _ in range(6):
        met = Counter(pair for each in chosen for pair in itertools.combinations(design._values(each), 2))
        worth = []
        for each in space:
            gain = sum(1 / (1 + met[pair]) ** 2 for pair in itertools.combinations(design._values(each), 2))
            worth.append(-1.0 if each in chosen else gain / relative_cost(each))
        chosen.append(space[int(np.argmax(worth))])
        same = (each for each in space if design._values(each)[:3] == design._values(chosen[-1])[:3])
        wanted = Weights() if chosen[-1].augmentation.operators else None
        chosen += [each for each in same if each.weights == wanted and each not in chosen]
    assert core_of(study) == tuple(chosen[:6])


def test_what_is_augmented_is_followed_by_the_same_without(data: Data) -> None:
    core = core_of(a_study(data, design={"core": 40}))
    augmented = [each for each in core if each.augmentation.operators]
    without = [each for each in core if each in map(unaugmented, augmented)]
    assert len({tuple(each.augmentation.kinds) for each in augmented}) == 5
    for each in augmented:
        (plain,) = (other for other in without if design._values(other)[:3] == design._values(each)[:3])
        assert plain.weights == Weights()
        assert not plain.augmentation.operators


def test_a_run_of_the_core_with_augmentation_has_a_twin_that_is_alike_in_all_else(data: Data) -> None:
    jobs = planned(data, design={"core": 20, "random": 9, "repeated": 1.0}).jobs
    core, twins = ([Pipeline(**job.pipeline) for job in jobs if job.stage == stage] for stage in ("core", "twin"))
    augmented = [each for each in core if each.augmentation.operators]
    assert len(twins) == len(augmented) > 2
    assert {each.key for each in twins} == {twin_of(each).key for each in augmented}
    for twin, each in itertools.product(twins, augmented):
        alone = {"augmented_prediction": 0.0, "augmented_hard_label": 0.0}
        assert twin.weights == each.weights.model_copy(update=alone)
        assert twin.weights is not None
        assert twin.weights.hard_label > 0
        assert not twin.augmentation.operators
    assert {job.seed for job in jobs if job.stage == "twin"} == {0}


def test_all_cells_share_the_core_and_draw_others(data: Data) -> None:
    found = planned(data, "single", "pair", design={"core": 4, "random": 6, "repeated": 0.0}, rows=[20, 40])
    cells = 4
    assert len(found.samples) == cells
    by_cell = {}
    for job in found.jobs:
        key = flat(job.pipeline) | {"seed": job.seed}
        by_cell.setdefault((job.source.data, job.rows), {}).setdefault(job.stage, []).append(str(sorted(key.items())))
    cores = {tuple(sorted(each["core"])) for each in by_cell.values()}
    assert len(cores) == 1
    assert {len(each["core"]) for each in by_cell.values()} == {4}
    assert len({tuple(sorted(each["random"])) for each in by_cell.values()}) == 4
    ranks = [("core", "random").index(job.stage) for job in found.jobs]
    turns = [ranks[: 6 * cells], ranks[6 * cells :]]  # 4 + 2 each, then what is left
    assert ranks[: 4 * cells] == [0] * 4 * cells
    assert all(turn == sorted(turn) for turn in turns)
    assert len({job.identity for job in found.jobs}) == len(found.jobs)
    assert (
        found.jobs
        == planned(data, "single", "pair", design={"core": 4, "random": 6, "repeated": 0.0}, rows=[20, 40]).jobs
    )


def test_a_study_that_is_stopped_early_has_fewer_pipelines_not_fewer_datasets(data: Data) -> None:
    found = planned(data, "single", "pair", design={"core": 2 * design.TURN + 1, "random": 0, "repeated": 1.0})
    listed = [job for job in found.jobs if job.stage != "twin"]  # as many as are augmented
    turns = [(job.stage, name) for job in listed for name in ("single", "pair") if job.source.data == data[name]]
    per_turn = [(stage, name, len([*each])) for (stage, name), each in itertools.groupby(turns)]
    turns = (design.TURN, design.TURN, 1)
    stages = ("core", "repeated")
    assert per_turn == [(stage, name, many) for many in turns for stage in stages for name in ("single", "pair")]


@pytest.mark.parametrize("part", [{"datasets": []}, {"hours": 3}, {"rows": [0]}, {"students": "static"}])
def test_a_part_that_is_none(part: dict[str, object], data: Data) -> None:
    with pytest.raises(InputError, match=rf"parts.*{next(iter(part))}"):
        a_study(data, parts=[part])


def test_a_run_is_alike_in_every_precision(data: Data) -> None:
    jobs = {precision: plan_study(a_study(data), precision).jobs for precision in ("float32", "bf16")}
    for one, other in zip(*jobs.values(), strict=True):
        assert one.identity != other.identity
        assert one.alike == other.alike >= {one.identity, other.identity}


def test_a_share_is_run_with_a_second_seed(data: Data) -> None:
    all_twice = planned(data, design={"core": 5, "repeated": 1.0}).jobs
    assert Counter(job.stage for job in all_twice) == {"core": 5, "repeated": 5}
    assert Counter(job.seed for job in all_twice) == {0: 5, 1: 5}
    some = planned(data, "single", "pair", design={"core": 40, "repeated": 0.25}).jobs
    assert 8 <= sum(job.stage == "repeated" for job in some) <= 32


def test_a_space_without_pipelines(data: Data) -> None:
    with pytest.raises(InputError, match="space: no pipeline has these kinds"):
        planned(data, space={"intermediate": ["mee"]})


@pytest.mark.parametrize("kind", ["regression", "tagging", "question_answering"])
def test_a_kind_of_task_has_a_loss_that_suits_it(kind: str, data: Data) -> None:
    for pipeline in core_of(a_study(data, design={"core": 40})):
        own = for_kind(pipeline, kind)
        assert not own.problems_with(kind)
        assert own.model_copy(update={"prediction": pipeline.prediction}) == pipeline


def test_half_of_what_selects_reports() -> None:
    task = toy_task("single", rows=12, held_out=31)
    halved = with_test(task, 0)
    (validation,), (test,) = halved.validation.values(), halved.test.values()
    assert (len(validation), len(test)) == (16, 15)
    texts = [*validation["text"], *test["text"]]
    assert Counter(texts) == Counter(next(iter(task.validation.values()))["text"])
    shares = [np.bincount(rows["label"], minlength=3) for rows in (validation, test)]
    assert (np.abs(shares[0] - shares[1]) <= 1).all()
    assert halved.fingerprint not in ("", task.fingerprint)
    assert halved.split == "test"
    assert with_test(halved, 1) is halved
    assert with_test(task, 0).fingerprint == halved.fingerprint != with_test(task, 1).fingerprint


def test_a_task_has_as_many_rows_as_it_is_asked_for(data: Data) -> None:
    source = Source(data=data["single"])
    few, all_rows = task_of(source, 10, 0), task_of(source, None, 0)
    assert (len(few.train), len(all_rows.train)) == (10, 40)
    assert few.held_out.keys() == all_rows.held_out.keys()
    assert few.source == all_rows.source
    assert few.fingerprint != all_rows.fingerprint
    assert few.test["test"]["text"] == all_rows.test["test"]["text"]
    assert task_of(source, 40, 0).fingerprint == all_rows.fingerprint


def test_rows_that_do_not_train_may_report(tmp_path: Path) -> None:
    """But for those that also train: here a third of all texts is one of three."""
    folder = write_data(tmp_path, "single", rows=300, held_out=40)
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text("utf-8").splitlines()]
    common = [{"text": f"common {number % 3}", "label": number % 3} for number in range(100)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows[:200] + common)), "utf-8")
    source = Source(data=str(folder))
    plain, larger, all_of_them = (task_of(source, 60, 0, test_rows) for test_rows in (0, 70, 1000))
    assert larger.train["text"] == plain.train["text"]
    assert larger.validation["validation"]["text"] == plain.validation["validation"]["text"]
    assert [len(task.test["test"]) for task in (plain, larger)] == [20, 70]
    for task in (larger, all_of_them):
        assert task.test["test"]["text"][:20] == plain.test["test"]["text"]
        assert not {*task.test["test"]["text"][20:]} & {*task.train["text"]}
    spare = Counter(row["text"] for row in rows[:200] + common) - Counter(plain.train["text"])
    added = Counter(all_of_them.test["test"]["text"][20:])
    assert added == Counter({text: many for text, many in spare.items() if text not in plain.train["text"]})
    assert len({task.fingerprint for task in (plain, larger, all_of_them)}) == 3
    assert len({task.source for task in (plain, larger, all_of_them)}) == 1
    labels = [task.test["test"]["label"][20:] for task in (larger, all_of_them)]
    shares = [np.bincount(each, minlength=3) / len(each) for each in labels]
    assert (np.abs(shares[0] - shares[1]) <= 1 / 50).all()


def test_a_job_in_words(data: Data) -> None:
    job = planned(data, rows=[20]).jobs[0]
    assert job.words.startswith(f"single (20 rows), {STUDENT}: ")
    assert job.group == (data["single"], 20, 0, TEACHER)
