"""The user's record of runs and datasets: SQLite by default, any database by its URL.

Append-only: a run is added once and never changed, but that of one that pauses the furthest record stays. What is
recommended, reported or exported is a view of it.
"""

import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import sqlalchemy as sql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from autodistill.datasets.descriptors import Descriptors
from autodistill.datasets.words import WordCounts
from engine.base.errors import InputError
from engine.base.options import in_home
from engine.base.text import expanded
from engine.run import layouts as records
from engine.run.result import RunResult

log = logging.getLogger("autodistiller")
UNUSABLE = (ArgumentError, DBAPIError, NoSuchModuleError, ModuleNotFoundError, OSError, ValueError)
"""What a store may raise: a wrong URL, no server, no driver, a folder, tables of another program, a full disk."""
UNIQUE = {"runs": ("identity", "status"), "datasets": ("fingerprint",), "claims": ("identity",)}
"""Table → the columns by which a row is there already."""
ATTEMPTS = 20
"""How often a row is added anew that was there and is not there any more, as a claim that its driver gives back."""
UNREADABLE = (ValueError, TypeError, KeyError, EOFError, BadZipFile, OSError)
"""What a damaged row raises: SQLite keeps a number, or nothing, where a text should stand."""
SECRET = re.compile("pass|pwd|secret|token|key", re.IGNORECASE)
"""In the names of what a URL's query keeps secret."""
metadata = sql.MetaData()
RUNS = sql.Table(
    "runs",
    metadata,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("identity", sql.String(64), nullable=False),
    sql.Column("status", sql.String(16), nullable=False),
    sql.Column("recorded_at", sql.DateTime, nullable=False),
    sql.Column("task", sql.String(200), nullable=False),
    sql.Column("dataset_fingerprint", sql.String(64), nullable=False),
    sql.Column("folder", sql.Text, nullable=False),
    sql.Column("record", sql.Text, nullable=False),
    sql.UniqueConstraint(*UNIQUE["runs"]),
)
"""A run a row; `record` is its result.json."""
DATASETS = sql.Table(
    "datasets",
    metadata,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("fingerprint", sql.String(64), nullable=False, unique=True),
    sql.Column("recorded_at", sql.DateTime, nullable=False),
    sql.Column("descriptors", sql.Text, nullable=False),
    sql.Column("words", sql.LargeBinary, nullable=False),
)
"""A dataset a row: its descriptors, and how often each word occurs in it."""
LAYOUT = sql.Table("layout", metadata, sql.Column("version", sql.Integer, primary_key=True))
"""The layouts of the records, one row each since it was made or migrated; the highest counts, and none is the first."""


def store_url(given: str | Path | None = None) -> URL:
    """Where the store is: as given, else `$AUTODISTILLER_STORE`, else a file in the user's data folder.

    Example:
        >>> store_url("runs.db"), store_url("postgresql+psycopg://localhost/runs")
        (sqlite:///runs.db, postgresql+psycopg://localhost/runs)

    Raises:
        InputError: A URL is malformed; or no store is named, and the user has no home.
    """
    chosen = str(given or "") or os.environ.get("AUTODISTILLER_STORE") or str(_default())
    if "://" not in chosen:
        return URL.create("sqlite", database=str(expanded(chosen)))
    try:
        return make_url(chosen)
    except (ArgumentError, ValueError) as error:  # neither says more; the text may hold a password
        scheme = chosen.partition("://")[0]
        raise InputError.of("--store", "the store cannot be opened: a malformed URL", f"{scheme}://…") from error


def _default() -> Path:
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else in_home(".local/share", "--store")) / "autodistiller" / "store.db"


def without_secrets(url: URL) -> str:
    """A database's URL as it may be shown: without its password, and without those in its query.

    Example:
        >>> without_secrets(make_url("postgresql://me:secret@host/runs?sslpassword=secret&sslmode=require"))
        'postgresql://me:***@host/runs?sslmode=require&sslpassword=hidden'
    """
    hidden = {name: "hidden" for name in url.query if SECRET.search(name)}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


class Store:
    """The record of runs and datasets in the database that `store_url` gives; its tables are made when absent.

    Raises:
        InputError: It cannot be opened.
    """

    def __init__(self, url: str | Path | None = None):
        self.url = store_url(url)
        with self._usable("opened"):
            is_file = self.url.get_backend_name() == "sqlite"
            if is_file and self.url.database and not self.url.database.startswith("file:"):  # which is a URL itself
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            patience = {"timeout": 30} if is_file else {}  # seconds; runs in several processes share the file
            self._engine = sql.create_engine(self.url, poolclass=NullPool, connect_args=patience)
            _make_tables(self._engine)
            _migrate(self._engine)

    @contextmanager
    def _usable(self, done: str) -> Iterator[None]:
        try:
            yield
        except UNUSABLE as error:
            where, hint = without_secrets(self.url), str(error).splitlines()[0]
            raise InputError.of("--store", f"the store cannot be {done}", where, (), hint) from error

    @contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        """A connection that is read from; an `InputError` where it cannot be."""
        with self._usable("read"), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sql.Connection]:
        """A connection on which all is written, or nothing; an `InputError` where it cannot be."""
        with self._usable("written to"), self._engine.begin() as connection:
            yield connection

    def check_writing(self) -> None:
        """Adds a row to each table and takes it back, so that what cannot be written to is known before a run.

        Raises:
            InputError: Nothing can be added, as where the file is read-only or the tables are another program's.
        """
        run = dict.fromkeys(("identity", "status", "task", "dataset_fingerprint", "folder", "record"), "")
        dataset = {"fingerprint": "", "descriptors": "", "words": b""}
        with self._usable("written to"), self._engine.connect() as connection:
            connection.execute(RUNS.insert().values(recorded_at=_now(), **run))
            connection.execute(DATASETS.insert().values(recorded_at=_now(), **dataset))
            connection.rollback()

    def add_run(self, result: RunResult, folder: Path) -> bool:
        """Adds a run, or what one that pauses has come to since; False where it is there already, `InputError` where it
        cannot be written."""
        known = {name: getattr(result, name) for name in ("identity", "status", "task", "dataset_fingerprint")}
        more = {"folder": str(folder.resolve()), "record": result.model_dump_json(), "recorded_at": _now()}
        if self.add(RUNS, **known, **more):
            return True
        there = [each for each in self.runs(log.debug, result.identity) if each.status == result.status]
        if result.status != "pruned" or any(each.epochs >= result.epochs for each in there):
            return False
        with self.writing() as connection:
            same = RUNS.update().where(RUNS.c.identity == result.identity, RUNS.c.status == result.status)
            connection.execute(same.values(**more))
        return True

    def runs(self, tell: Callable[[str], None] = log.warning, identity: str | None = None) -> list[RunResult]:
        """All runs in the order in which they came.

        Args:
            tell: Hears of records that cannot be read, as those of a newer version; they are left out.
            identity: Of the run whose records are wanted; None: those of all.
        """
        return [result for result, _ in self.runs_in_folders(tell, identity)]

    def runs_in_folders(
        self, tell: Callable[[str], None] = log.warning, identity: str | None = None
    ) -> list[tuple[RunResult, Path]]:
        """The same, each with the folder that it was made in."""
        chosen = sql.select(RUNS.c.id, RUNS.c.record, RUNS.c.folder).order_by(RUNS.c.id)
        chosen = chosen if identity is None else chosen.where(RUNS.c.identity == identity)
        with self.reading() as connection:
            rows = connection.execute(chosen).all()
        found: list[tuple[RunResult, Path]] = []
        for row, text, folder in rows:
            try:
                found.append((RunResult.parse(text), Path(folder)))
            except UNREADABLE as error:
                tell(f"run {row} of the store is left out: {str(error).splitlines()[0]}")
        return found

    def add_dataset(self, descriptors: Descriptors, words: WordCounts) -> bool:
        """Adds a dataset; False where it is there already, `InputError` where it cannot be written."""
        record = descriptors.model_dump_json()
        known = {"fingerprint": descriptors.fingerprint, "descriptors": record, "words": _packed(words)}
        return self.add(DATASETS, **known, recorded_at=_now())

    def datasets(self, tell: Callable[[str], None] = log.warning) -> list[tuple[Descriptors, WordCounts]]:
        """All datasets in the order in which they came; `tell` as in `runs`."""
        chosen = sql.select(DATASETS.c.id, DATASETS.c.descriptors, DATASETS.c.words).order_by(DATASETS.c.id)
        with self.reading() as connection:
            rows = connection.execute(chosen).all()
        found: list[tuple[Descriptors, WordCounts]] = []
        for row, known, words in rows:
            try:
                counts = WordCounts.of(np.load(BytesIO(words), allow_pickle=False))
                found.append((Descriptors.model_validate_json(known), counts))
            except UNREADABLE as error:
                tell(f"dataset {row} of the store is left out: {str(error).splitlines()[0]}")
        return found

    def add(self, table: sql.Table, **values: object) -> bool:
        """Adds a row; False where one with the same `UNIQUE` columns is there, `InputError` where it cannot be."""
        unique = [table.c[name] == values[name] for name in UNIQUE[table.name]]
        there = sql.select(table).where(*unique)
        attempts = ATTEMPTS
        with self._usable("written to"):
            while True:
                try:
                    with self._engine.begin() as connection:
                        connection.execute(table.insert().values(**values))
                    return True
                except IntegrityError:
                    attempts -= 1
                    with self._engine.connect() as connection:
                        if connection.execute(there).first() is not None:
                            return False
                    if not attempts:
                        raise


def _now() -> datetime:
    """In UTC, without saying so: not every database keeps a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def _make_tables(engine: sql.Engine) -> None:
    for table in metadata.sorted_tables:
        try:
            table.create(engine, checkfirst=True)
        except DBAPIError:  # as when another process makes it at the same moment
            if not sql.inspect(engine).has_table(table.name):
                raise


def _migrate(engine: sql.Engine) -> None:
    """Brings the records of an older version into today's layout, all of them or none.

    Raises:
        InputError: The store was written by a newer version.
    """
    with engine.begin() as connection:
        version = connection.scalar(sql.select(sql.func.max(LAYOUT.c.version)))
        if version == records.LAYOUT:
            return
        if version is not None and version > records.LAYOUT:
            what, allowed = "the store was written by a newer version", (f"at most {records.LAYOUT}",)
            raise InputError.of("--store", what, f"layout {version}", allowed)
        columns = ((RUNS, RUNS.c.record, records.upgraded), (DATASETS, DATASETS.c.descriptors, _upgraded))
        for table, column, upgraded in columns:
            for row, text in connection.execute(sql.select(table.c.id, column)).all():
                values = {column.name: json.dumps(upgraded(json.loads(str(text))))}
                connection.execute(table.update().where(table.c.id == row).values(values))
    with suppress(IntegrityError), engine.begin() as connection:  # perhaps another process was faster
        connection.execute(LAYOUT.insert().values(version=records.LAYOUT))


def _upgraded(descriptors: dict[str, Any]) -> dict[str, Any]:
    return {"bilstm_score" if key == "baseline_score" else key: value for key, value in descriptors.items()}


def _packed(words: WordCounts) -> bytes:
    buffer = BytesIO()
    np.savez_compressed(buffer, **words.parts())  # type: ignore[arg-type]  # none of them is an option
    return buffer.getvalue()
