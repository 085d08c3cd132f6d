"""Searches of a study: they follow from the seed and what was seen, stop runs early, and survive whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autodistill.history.read import read_runs
from autodistill.history.store import Store
from autodistill.search.policies import FAILED, POLICIES, Space
from autodistill.study.executors import Place
from autodistill.study.ledger import Ledger
from autodistill.study.planning import plan_study
from autodistill.study.searching import Course, Records, Searching, SearchPlan
from autodistill.study.spec import EPOCHS_NEEDED, POLICY_NAMES, Study
from autodistill.study.tables import known_courses
from tests.autodistill.study.conftest import a_study, collected, export, searches_in, table
from tests.autodistill.study.test_collect import DRIVER
from tests.conftest import ROOT
from tests.ear import Ear
from tests.records import made_record

EPOCHS, TRIALS = 3, 2
SPACE = {"intermediate": ["none", "mse"], "augmentation": ["none"], "mapping": ["none", "skip"]}


def searched(data: dict[str, str], policy: str = "halving", epochs: int = EPOCHS, trials: int = TRIALS) -> Study:
    design = {"core": 0, "search": policy, "trials": trials}
    return a_study(data, "single", design=design, space=SPACE, training={"epochs": epochs, "max_length": 16})


@pytest.fixture(name="halving", scope="module")
def _halving(data: dict[str, str]) -> Study:
    return searched(data)


@pytest.fixture(name="through", scope="module")
def _through(halving: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a searched study that nothing disturbed."""
    folder = tmp_path_factory.mktemp("searched")
    assert collected(halving, folder) == {}
    return folder


def courses(search: SearchPlan, epochs: int) -> dict[str, Course]:
    """A made-up curve for each pipeline, by the identity of its run."""
    dice = np.random.default_rng(1)
    return {job.identity: Course(tuple(dice.random(epochs))) for job in search.jobs.values()}


def asked(searching: Searching, answers: Mapping[str, Course], pieces: int | None = None) -> list[tuple[str, int]]:
    """What a search asks for, identity and epoch, while it is told the answers one by one."""
    found = []
    while searching.job is not None and len(found) != pieces:
        job = searching.job
        whole = answers[job.identity].scores
        until = job.until or len(whole)
        found.append((job.identity, until))
        history = [{"epoch": n, "loss": {}, "scores": {"accuracy": s}} for n, s in enumerate(whole[:until], start=1)]
        status = "pruned" if job.until else "ok"
        searching.records.add(made_record(job.identity, status=status, history=history))
        searching.go_on()
    return found


def test_the_names_of_a_file_are_the_policies_that_there_are() -> None:
    assert tuple(POLICIES) == POLICY_NAMES


@pytest.mark.parametrize("policy", POLICY_NAMES)
def test_which_policies_stop_trainings_early_and_from_how_many_epochs_on(policy: str) -> None:
    def stops(epochs: int) -> bool:
        names = [str(number) for number in range(30)]
        space = Space(pd.DataFrame({"a": names}, index=names), dict.fromkeys(names, epochs))
        return next(POLICIES[policy](space, np.random.default_rng(0))).epochs < epochs

    needed = EPOCHS_NEEDED.get(policy)
    assert [stops(epochs) for epochs in (1, 2, 3)] == [needed is not None and epochs >= needed for epochs in (1, 2, 3)]


@pytest.mark.parametrize("policy", POLICY_NAMES)
def test_a_search_follows_from_its_seed_and_what_it_saw(policy: str, data: dict[str, str], tmp_path: Path) -> None:
    """Stopped after any piece, it repeats what it did against the records, and asks for the same as if it never was."""
    (search,) = plan_study(searched(data, policy, epochs=9, trials=3), "float32").searches
    store, answers = Store(str(tmp_path / "store.db")), courses(search, 9)
    whole = Searching(search, Records(store))
    pieces = asked(whole, answers)
    assert (whole.job, whole.done) == (None, 3)
    reached = {identity: max(until for each, until in pieces if each == identity) for identity, _ in pieces}
    assert 27 <= sum(reached.values()) <= 27 + 2 * 9  # the last piece, and the end of the best one
    for count in range(len(pieces)):
        records = Records(store)
        assert asked(Searching(search, records), answers, count) == pieces[:count]
        again = Searching(search, records)
        again.go_on()
        assert asked(again, answers) == pieces[count:]


def test_the_best_one_is_trained_to_its_end(halving: Study, tmp_path: Path) -> None:
    (search,) = plan_study(halving, "float32").searches
    answers = courses(search, EPOCHS)
    searching = Searching(search, Records(Store(str(tmp_path / "store.db"))))
    asked(searching, answers)
    best = max(searching.scores, key=lambda name: searching.scores[name])
    assert searching.ends[best] == "ok"
    assert "paused" in searching.ends.values()
    assert {name for name, end in searching.ends.items() if end == "paused"} == {
        name for name, job in searching.jobs.items() if job in searching.paused
    }


def test_seeds_and_cells_search_differently(halving: Study, data: dict[str, str], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store.db"))

    def first(study: Study) -> list[str]:
        names = []
        for search in plan_study(study, "float32").searches:
            searching = Searching(search, Records(store))
            while searching.job is not None and len(names) < 6:
                names.append(search.jobs[next(reversed(searching.jobs))].training)
                searching.records.failed.add(searching.job.identity)
                searching.go_on()
        return names

    assert first(halving) == first(halving)
    assert first(halving) != first(halving.model_copy(update={"seed": 1}))


def test_a_run_that_fails_is_the_worst_and_costs_what_was_asked_for(halving: Study, tmp_path: Path) -> None:
    (search,) = plan_study(halving, "float32").searches
    searching = Searching(search, Records(Store(str(tmp_path / "store.db"))))
    while searching.job is not None:
        searching.records.add(made_record(searching.job.identity, status="failed", reason="diverged"))
        searching.go_on()
    assert set(searching.ends.values()) == {"failed"}
    assert set(searching.scores.values()) == {FAILED}
    assert searching.spent == TRIALS * EPOCHS
    assert "all failed" in searching.words


def test_what_failed_after_a_pause_was_seen_as_it_paused(halving: Study, tmp_path: Path) -> None:
    (search,) = plan_study(halving, "float32").searches
    records = Records(Store(str(tmp_path / "store.db")))
    paused = Searching(search, records).job
    assert paused is not None
    assert paused.until == 1
    history = [{"epoch": 1, "loss": {}, "scores": {"accuracy": 0.6}}]
    records.add(made_record(paused.identity, status="pruned", history=history))
    records.add(made_record(paused.identity, status="failed", reason="diverged"))
    assert records.seen(paused, 1) == (0.6, 0.0, 1, False)
    assert records.seen(replace(paused, until=None), EPOCHS) == (FAILED, 0.0, EPOCHS, True)


def test_how_far_a_training_came() -> None:
    paused, ended = Course((0.6,), over=False), Course((0.6, 0.5))
    assert (paused.after(1), paused.after(2)) == ((0.6, 0.0, 1, False), None)
    assert (ended.after(1), ended.after(9)) == ((0.6, 0.0, 1, False), (0.6, 0.0, 2, True))
    assert Course(()).after(1) is None


def test_runs_that_pause_are_in_the_store_and_leave_nothing_else(halving: Study, through: Path) -> None:
    store = Store(str(through / "store.db"))
    (search,) = searches_in(plan_study(halving, "float32"), store)
    search.go_on()
    assert search.job is None
    assert search.ends.keys() == search.jobs.keys()
    runs = {(result.identity, result.status): result for result in store.runs()}
    assert len(runs) == len(store.runs())
    for name, end in search.ends.items():
        identity = search.jobs[name].identity
        assert ((identity, "ok") in runs) == (end == "ok")
        if end == "paused":
            assert runs[identity, "pruned"].epochs == len(runs[identity, "pruned"].history) < EPOCHS
    assert Counter(search.ends.values())["paused"] >= 1
    assert not any((through / "runs").iterdir())
    assert Ledger(store, halving.name).claims() == []


def test_a_finished_search_makes_nothing(halving: Study, through: Path) -> None:
    before = (through / "store.db").read_bytes()
    assert collected(halving, through, place=Place(lambda: pytest.fail("an executor was made"), 1)) == {}
    assert (through / "store.db").read_bytes() == before


def test_with_more_trials_it_goes_on(halving: Study, data: dict[str, str], through: Path) -> None:
    (search,) = plan_study(halving, "float32").searches
    (more,) = plan_study(searched(data, trials=TRIALS + 3), "float32").searches
    assert more.key == search.key
    searching = Searching(more, Records(Store(str(through / "store.db"))))
    searching.go_on()
    assert searching.job is not None
    assert searching.spent >= TRIALS * EPOCHS


def test_a_run_that_was_stopped_is_no_finished_run(halving: Study, through: Path, tmp_path: Path) -> None:
    """It is in no table of runs; how far it came is, and its curve, from which a search goes on without its store."""
    runs, store = table(halving, through), Store(str(through / "store.db"))
    folder = through / "tables"
    paused, curves = pd.read_csv(folder / "paused.csv"), pd.read_parquet(folder / "curves.parquet")
    status = {result.identity: result.status for result in store.runs()}  # the later one of each
    assert sorted(runs.identity) == sorted(each for each, known in status.items() if known == "ok")
    assert sorted(paused.identity) == sorted(each for each, known in status.items() if known == "pruned")
    assert set(runs.source) == {"study, search"}
    assert "score" not in paused
    assert (paused.epochs < EPOCHS).all()
    lengths = curves.groupby("identity").size()
    assert lengths[paused.identity].tolist() == paused.epochs.tolist()
    assert (lengths[runs.identity] == EPOCHS).all()
    assert sorted(read_runs(folder / "study.csv").frame.identity) == sorted(runs.identity)
    (search,) = plan_study(halving, "float32").searches
    elsewhere = Searching(search, Records(Store(str(tmp_path / "empty.db")), known_courses(folder)))
    elsewhere.go_on()
    assert elsewhere.job is None


def test_what_paused_and_ended_since_leaves_the_table_of_those_that_pause(
    halving: Study, through: Path, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "store.db"))
    made = Store(str(through / "store.db")).runs()
    for result in made:
        store.add_run(result, through)
    export(halving, store, tmp_path)
    first, *others = sorted(pd.read_csv(tmp_path / "paused.csv").identity)
    (paused,) = (result for result in made if result.identity == first)
    store.add_run(paused.model_copy(update={"status": "ok", "student_score": 0.5}), through)
    export(halving, store, tmp_path)
    assert first in set(pd.read_csv(tmp_path / "study.csv").identity)
    assert sorted(pd.read_csv(tmp_path / "paused.csv").identity) == others


def started(study: Study, folder: Path) -> subprocess.Popen[bytes]:
    """A driver in a process group of its own."""
    (folder / "driver.py").write_text(DRIVER, encoding="utf-8")
    (folder / "study.json").write_text(study.model_dump_json(), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(folder / "driver.py"), str(folder)]
    return subprocess.Popen(command, env=environment, start_new_session=True)


def same_tables(study: Study, one: Path, other: Path) -> None:
    """Whether two folders hold the same, but for times."""
    pd.testing.assert_frame_equal(table(study, one), table(study, other))
    for name in ("paused.csv", "curves.parquet"):
        found = []
        for folder in (one, other):
            path = folder / "tables" / name
            frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
            found.append(frame[[each for each in frame if each not in ("seconds", "total_seconds", "finished_at")]])
        pd.testing.assert_frame_equal(*found)


def test_killed_in_the_middle_it_ends_with_the_same_tables(halving: Study, through: Path, tmp_path: Path) -> None:
    driver = started(halving, tmp_path)
    until = time.monotonic() + 240
    while not (tmp_path / "store.db").is_file() or len(Store(str(tmp_path / "store.db")).runs()) < 2:
        assert driver.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    made = len(Store(str(tmp_path / "store.db")).runs())
    assert made < len(Store(str(through / "store.db")).runs())
    assert collected(halving, tmp_path) == {}
    same_tables(halving, tmp_path, through)
    assert not any((tmp_path / "runs").iterdir())


def test_two_drivers_on_one_store_lose_and_double_nothing(data: dict[str, str], through: Path, tmp_path: Path) -> None:
    """One has the search of each cell, and no run is made by both."""
    study = searched(data).model_copy(update={"datasets": a_study(data, "single", "pair").datasets})
    driver, ear = started(study, tmp_path), Ear()
    assert collected(study, tmp_path, ear) == {}
    assert driver.wait(timeout=240) == 0
    store = Store(str(tmp_path / "store.db"))
    for search in searches_in(plan_study(study, "float32"), store):
        search.go_on()
        assert search.job is None
    first = {result.identity for result in Store(str(through / "store.db")).runs()}
    assert first < {result.identity for result in store.runs()}
    assert Ledger(store, study.name).claims() == []
    alone = searched(data)
    same_tables(alone, tmp_path, through)
