"""Whatever is given, a command ends soon, with 0 or with one message and 2, and leaves its input as it was.

`FUZZ_CASES` says how many cases there are (make fuzz: 10,000), `FUZZ_SEED` which, `FUZZ_SECONDS` after how many one of
them hangs, which on a busy machine are more; a case that fails names its seed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import app
from tests.fuzz.cases import case

CASES = int(os.environ.get("FUZZ_CASES", "100"))
FIRST = int(os.environ.get("FUZZ_SEED", "0"))
TOGETHER = 20
"""Cases of a test, so that 10,000 are no 10,000 lines."""
SECONDS = int(os.environ.get("FUZZ_SECONDS", "120"))


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _files(home: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_mode, path.lstat().st_size) for path in home.rglob("*")}


def _fault(seed: int, home: Path) -> str:
    """What is wrong with the answer to a case; empty where nothing is."""
    typed = list(case(seed, home).arguments)
    before = _files(home)
    with _at_most(SECONDS):
        answer = CliRunner(env={"COLUMNS": "200"}).invoke(app, typed)
    if answer.exception and not isinstance(answer.exception, SystemExit):
        return f"{type(answer.exception).__name__}: {str(answer.exception)[:200]}"
    if answer.exit_code not in (0, 2):
        return f"exit code {answer.exit_code}"
    if answer.exit_code == 2 and (answer.stdout or "Error" not in answer.stderr):
        return "no message, or something beside it"
    if any(sign in answer.stderr + answer.stdout for sign in ("Traceback", "\x1b", "\x9b", "\u202e")):
        return "a traceback, or something that a terminal obeys"
    return "" if _files(home) == before else "files were changed"


@pytest.mark.parametrize("first", range(FIRST, FIRST + CASES, TOGETHER))
def test_whatever_is_given(first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = {}
    for seed in range(first, min(first + TOGETHER, FIRST + CASES)):
        home = tmp_path / str(seed)
        home.mkdir()
        monkeypatch.chdir(home)
        try:
            fault = _fault(seed, home)
        except TimeoutError as error:
            fault = str(error)
        if fault:
            faults[seed] = fault
    assert not faults
