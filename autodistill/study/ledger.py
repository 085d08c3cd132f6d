"""Who is at which run of a study: a table in the store, so that several drivers share a study and none repeats a run.

Decided here: a driver claims a run before it begins it, by adding a row that nobody else can add; it says every few
seconds that it is still there. A claim whose driver has fallen silent, or is a process of this machine that has ended,
may be taken over. What became of a run stands with the runs; the ledger keeps only that it is under way, or why it
could not be made, which the next driver tries again.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import psutil
import sqlalchemy as sql

from autodistill.history.store import RUNS, Store, metadata

SILENT = 120.0
"""Seconds after which a driver that says nothing has ended."""
CLAIMS = sql.Table(
    "claims",
    metadata,
    sql.Column("identity", sql.String(64), primary_key=True),
    sql.Column("study", sql.String(200), nullable=False),
    sql.Column("driver", sql.String(200), nullable=False),
    sql.Column("heard", sql.Float, nullable=False),
    sql.Column("reason", sql.Text),
)
"""A run that is under way, or, where there is a reason, could not be made."""


@dataclass(frozen=True)
class Driver:
    """A process that collects runs."""

    host: str
    process: int
    since: float
    """When it began, for numbers of processes come again."""

    @classmethod
    def own(cls) -> Driver:
        """This process."""
        return cls(socket.gethostname(), os.getpid(), round(psutil.Process().create_time(), 2))

    @classmethod
    def parse(cls, text: str) -> Driver:
        """The one that `str` wrote."""
        host, process, since = text.rsplit(" ", 2)
        return cls(host, int(process), float(since))

    def __str__(self) -> str:
        return f"{self.host} {self.process} {self.since}"

    def has_ended(self, heard: float) -> bool:
        """Whether it is gone, when it was last heard of at that time."""
        if self.host == socket.gethostname():
            try:
                return round(psutil.Process(self.process).create_time(), 2) != self.since
            except psutil.NoSuchProcess:
                return True
        return time.time() - heard > SILENT


class Ledger:
    """The claims of one study in a store."""

    def __init__(self, store: Store, study: str):
        self.store, self.study, self.driver = store, study, str(Driver.own())

    def finished(self, identities: Iterable[str]) -> dict[str, str]:
        """Of these runs, those that are over, with their status: `ok` or `failed`."""
        wanted = {*identities}
        with self.store.reading() as connection:
            rows = connection.execute(sql.select(RUNS.c.identity, RUNS.c.status).where(RUNS.c.status != "pruned"))
            return {identity: status for identity, status in rows if identity in wanted}

    def claims(self) -> list[sql.Row]:
        """All of the study."""
        with self.store.reading() as connection:
            return [*connection.execute(sql.select(CLAIMS).where(CLAIMS.c.study == self.study)).all()]

    def claim(self, identity: str) -> bool:
        """Whether the run is this driver's now; False where it is another one's, cannot be made, or is over."""
        own = {"driver": self.driver, "heard": time.time(), "study": self.study}
        if not self.store.add(CLAIMS, identity=identity, **own) and not self._take_over(identity, own):
            return False
        over = sql.select(RUNS.c.id).where(RUNS.c.identity == identity, RUNS.c.status != "pruned")
        with self.store.reading() as connection:
            is_over = connection.execute(over).first() is not None
        if is_over:
            self.release([identity])
            return False
        return True

    def _take_over(self, identity: str, own: Mapping[str, object]) -> bool:
        """Claims what somebody had claimed who is gone, unless another driver is faster."""
        same = CLAIMS.c.identity == identity
        with self.store.reading() as connection:
            row = connection.execute(sql.select(CLAIMS).where(same)).first()
        if row is None or not Driver.parse(row.driver).has_ended(row.heard):
            return False
        with self.store.writing() as connection:
            unchanged = CLAIMS.update().where(same, CLAIMS.c.driver == row.driver, CLAIMS.c.heard == row.heard)
            return connection.execute(unchanged.values(reason=None, **own)).rowcount == 1

    def say_here(self) -> None:
        """Says that this driver is still there."""
        with self.store.writing() as connection:
            own = CLAIMS.update().where(CLAIMS.c.driver == self.driver, CLAIMS.c.reason.is_(None))
            connection.execute(own.values(heard=time.time()))

    def release(self, identities: Sequence[str]) -> None:
        """Gives claims back: their runs are over, or others may make them."""
        with self.store.writing() as connection:
            connection.execute(CLAIMS.delete().where(CLAIMS.c.identity.in_(identities)))

    def give_up(self, identity: str, reason: str) -> None:
        """Notes why a run cannot be made; nobody tries it again while this driver is there."""
        with self.store.writing() as connection:
            same = CLAIMS.update().where(CLAIMS.c.identity == identity)
            connection.execute(same.values(reason=reason))


def given_up(store: Store) -> dict[str, str]:
    """Runs of any study that could not be made → why."""
    with store.reading() as connection:
        chosen = sql.select(CLAIMS.c.identity, CLAIMS.c.reason).where(CLAIMS.c.reason.is_not(None))
        return {row.identity: row.reason for row in connection.execute(chosen)}


RECENT = 50
"""Runs from whose times the pace is taken."""


def pace(ledger: Ledger, identities: Iterable[str]) -> float | None:
    """Runs an hour, of the last ones of these; None of fewer than two."""
    wanted = {*identities}
    with ledger.store.reading() as connection:
        found = connection.execute(sql.select(RUNS.c.identity, RUNS.c.recorded_at).order_by(RUNS.c.id.desc()))
        times = [when for identity, when in found if identity in wanted][:RECENT]
    seconds = (times[0] - times[-1]).total_seconds() if len(times) > 1 else 0
    return 3600 * (len(times) - 1) / seconds if seconds else None
