"""A PostgreSQL server that lives as long as a test session, where its programs are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import URL, create_engine, text

PROGRAMS = ("initdb", "pg_ctl")
USER = "tester"


def missing() -> str | None:
    """Why there can be no server; None where there can be one."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"PostgreSQL is not on this machine: no {', '.join(absent)}" if absent else None


@contextmanager
def server() -> Iterator[URL]:
    """The address of a new server, which listens in a folder of its own only."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(folder, "postgres")
        _run("initdb", "--pgdata", str(data), "--username", USER, "--auth", "trust", "--encoding", "UTF8")
        settings = f"-c listen_addresses='' -k {folder}"
        log = str(Path(folder) / "log")
        _run("pg_ctl", "start", "--wait", "--pgdata", str(data), "--log", log, "--options", settings)
        try:
            yield URL.create("postgresql+psycopg", USER, database="postgres", query={"host": folder})
        finally:
            _run("pg_ctl", "stop", "--pgdata", str(data), "--mode", "immediate")


def new_database(address: URL) -> str:
    """The URL of an empty database on a server."""
    name = f"test_{uuid4().hex[:12]}"
    engine = create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return address.set(database=name).render_as_string(hide_password=False)


def _run(*command: str) -> None:
    user = {"user": "postgres"} if os.geteuid() == 0 else {}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **user)
