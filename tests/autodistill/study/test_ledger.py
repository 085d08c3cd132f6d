"""Who is at which run: nobody makes one twice, and what a dead driver left is taken over."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sql
from sqlalchemy import URL

from autodistill.history.store import Store
from autodistill.study.ledger import CLAIMS, SILENT, Driver, Ledger, pace
from tests import postgresql
from tests.records import made_record


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[URL]:
    if reason := postgresql.missing():
        pytest.skip(reason)
    with postgresql.server() as address:
        yield address


@pytest.fixture(name="url", params=["sqlite", "postgresql"])
def _url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    return postgresql.new_database(request.getfixturevalue("server"))


def a_ledger(url: str, driver: Driver | None = None) -> Ledger:
    ledger = Ledger(Store(url), "toy")
    if driver is not None:
        ledger.driver = str(driver)
    return ledger


ELSEWHERE = Driver("another host", 1, 2.5)


def test_a_run_is_claimed_once(url: str) -> None:
    here, there = a_ledger(url), a_ledger(url, ELSEWHERE)
    assert here.claim("a")
    assert not there.claim("a")
    assert there.claim("b")
    assert not here.claim("b")
    assert {(row.identity, row.driver) for row in here.claims()} == {("a", here.driver), ("b", there.driver)}
    here.release(["a"])
    assert there.claim("a")


def test_of_many_at_once_one_has_it(url: str) -> None:
    drivers = [a_ledger(url, replace(ELSEWHERE, process=number)) for number in range(8)]
    together = Barrier(len(drivers))

    def claim(ledger: Ledger) -> list[bool]:
        together.wait()
        return [ledger.claim(str(number)) for number in range(10)]

    with ThreadPoolExecutor(len(drivers)) as threads:
        found = [*threads.map(claim, drivers)]
    assert [sum(each) for each in zip(*found, strict=True)] == [1] * 10


def test_a_claim_that_is_given_back_at_the_same_moment_is_no_error(url: str) -> None:
    drivers = [a_ledger(url, replace(ELSEWHERE, process=number)) for number in range(4)]
    together = Barrier(len(drivers))

    def claim_and_release(ledger: Ledger) -> int:
        together.wait()
        had = 0
        for _ in range(40):
            if ledger.claim("a"):
                had += 1
                ledger.release(["a"])
        return had

    with ThreadPoolExecutor(len(drivers)) as threads:
        assert sum(threads.map(claim_and_release, drivers)) > 0
    assert drivers[0].claim("a")


@pytest.mark.parametrize("status", ["ok", "failed"])
def test_what_is_over_is_claimed_by_nobody(url: str, status: str, tmp_path: Path) -> None:
    ledger = a_ledger(url)
    ledger.store.add_run(made_record("a", status=status), tmp_path)
    ledger.store.add_run(made_record("b", status="pruned"), tmp_path)
    assert not ledger.claim("a")
    assert ledger.claim("b")
    assert [row.identity for row in ledger.claims()] == ["b"]
    assert ledger.finished(["a", "b", "c"]) == {"a": status}


def test_a_driver_that_has_ended_is_followed(url: str) -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    gone = replace(Driver.own(), process=ended.pid)
    assert a_ledger(url, gone).claim("a")
    assert a_ledger(url).claim("a")


def test_another_process_of_the_same_number_is_another_one(url: str) -> None:
    before = replace(Driver.own(), since=Driver.own().since - 1000)
    assert a_ledger(url, before).claim("a")
    assert a_ledger(url).claim("a")


def test_another_machine_is_followed_when_it_falls_silent(url: str) -> None:
    here, there = a_ledger(url), a_ledger(url, ELSEWHERE)
    there.claim("a")
    there.claim("b")
    with here.store.writing() as connection:
        connection.execute(CLAIMS.update().values(heard=time.time() - SILENT - 1))
    assert here.claim("a")
    there.say_here()
    assert not here.claim("b")
    assert {row.identity: row.driver for row in here.claims()} == {"a": here.driver, "b": there.driver}


def test_the_faster_one_follows(url: str) -> None:
    """Both saw the same silence."""
    there = a_ledger(url, ELSEWHERE)
    there.claim("a")
    with there.store.writing() as connection:
        connection.execute(CLAIMS.update().values(heard=0.0))
    rivals = [a_ledger(url, replace(ELSEWHERE, process=number)) for number in range(2, 8)]
    together = Barrier(len(rivals))

    def claim(ledger: Ledger) -> bool:
        together.wait()
        return ledger.claim("a")

    with ThreadPoolExecutor(len(rivals)) as threads:
        assert sum(threads.map(claim, rivals)) == 1


def test_what_could_not_be_made_is_tried_by_the_next_driver(url: str) -> None:
    there, here = a_ledger(url, ELSEWHERE), a_ledger(url)
    there.claim("a")
    there.give_up("a", "no such file")
    assert not there.claim("a")
    assert not here.claim("a")
    assert [row.reason for row in here.claims()] == ["no such file"]
    with here.store.writing() as connection:
        connection.execute(CLAIMS.update().values(heard=0.0))
    there.say_here()  # it is silent about what it gave up
    assert here.claim("a")
    assert [row.reason for row in here.claims()] == [None]


def test_studies_of_other_names_are_other_studies(url: str) -> None:
    ledger = a_ledger(url)
    ledger.claim("a")
    other = Ledger(ledger.store, "other")
    assert other.claims() == []
    assert not replace(Driver.own(), host="x").has_ended(time.time())


def test_the_pace(url: str, tmp_path: Path) -> None:
    ledger = a_ledger(url)
    for number in range(4):
        ledger.store.add_run(made_record(str(number)), tmp_path)
    assert pace(ledger, ["0"]) is None
    with ledger.store.writing() as connection:
        from autodistill.history.store import RUNS

        start = connection.scalar(sql.select(sql.func.min(RUNS.c.recorded_at)))
        for number in range(4):
            when = start.replace(year=2026, microsecond=0, second=0, minute=10 * number)
            connection.execute(RUNS.update().where(RUNS.c.identity == str(number)).values(recorded_at=when))
    assert pace(ledger, ["0", "1", "2", "3", "x"]) == pytest.approx(6)
    assert pace(ledger, ["0", "3"]) == pytest.approx(2)


def test_a_driver_is_read_as_it_was_written() -> None:
    own = Driver.own()
    assert Driver.parse(str(own)) == own
    assert not own.has_ended(0)
    assert Driver.parse("a host of many words 3 1.5") == Driver("a host of many words", 3, 1.5)
