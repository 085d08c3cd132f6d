"""Whatever is given, a command ends soon, with 0 or with one message and 2, and leaves its input as it was.

`FUZZ_CASES` says how many cases there are (make fuzz: 10,000), `FUZZ_SEED` which, `FUZZ_SECONDS` after how many one of
them hangs, which on a busy machine are more; a case that fails names its seed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.clock import Hanging, at_most
from tests.fuzz.cases import TYPED, Case
from tests.fuzz.damage import Whole, damaged, invoked, whole

CASES = int(os.environ.get("FUZZ_CASES", "500"))
FIRST = int(os.environ.get("FUZZ_SEED", "0"))
TOGETHER = 20
"""Cases of a test, so that 10,000 are no 10,000 lines."""
DAMAGED = 4
"""Share of damaged folders, as those in `TYPED`."""
SECONDS = int(os.environ.get("FUZZ_SECONDS", "120"))


@pytest.fixture(scope="session", name="undamaged")
def _undamaged(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return whole(tmp_path_factory.mktemp("whole"))


def case(seed: int, home: Path, undamaged: Whole) -> Case:
    """The case of a seed; its files are written into `home`."""
    chance = random.Random(seed)
    made = chance.choices([*TYPED, partial(damaged, undamaged=undamaged)], [*TYPED.values(), DAMAGED])[0]
    return made(chance, home)


def _files(home: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_mode, path.lstat().st_size) for path in home.rglob("*")}


def _is_alone(stdout: str, arguments: Sequence[str]) -> bool:
    """Whether nothing stands beside a message; with --json it stands there again."""
    return stdout == "" if "--json" not in arguments else json.loads(stdout)["status"] in ("invalid", "failed")


def _fault(given: Case, home: Path) -> str:
    """What is wrong with the answer to a case; empty where nothing is."""
    before = _files(home)
    with at_most(SECONDS):
        answer = invoked(home, given.arguments)
    if answer.exception and not isinstance(answer.exception, SystemExit):
        return f"{type(answer.exception).__name__}: {str(answer.exception)[:200]}"
    if answer.exit_code not in (0, 2):
        return f"exit code {answer.exit_code}"
    if answer.exit_code == 2 and ("Error" not in answer.stderr or not _is_alone(answer.stdout, given.arguments)):
        return "no message, or something beside it"
    if any(sign in answer.stderr + answer.stdout for sign in ("Traceback", "\x1b", "\x9b", "\u202e")):
        return "a traceback, or something that a terminal obeys"
    if not given.writes and _files(home) != before:
        return "files were changed"
    return given.fault(answer) if answer.exit_code == 0 else ""


@pytest.mark.parametrize("first", range(FIRST, FIRST + CASES, TOGETHER))
def test_whatever_is_given(first: int, undamaged: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = {}
    for seed in range(first, min(first + TOGETHER, FIRST + CASES)):
        home = tmp_path / str(seed)
        home.mkdir()
        monkeypatch.chdir(home)
        try:
            fault = _fault(case(seed, home, undamaged), home)
        except Hanging as error:
            fault = str(error)
        if fault:
            faults[seed] = fault
        shutil.rmtree(home)
    assert not faults
