"""What the soak compares."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.base.files import write_sealed
from tests.soak import begun, computes, left_by


def recommendation(folder: Path, seconds: float, ratio: float = 0.9) -> Path:
    pick = {"rank": 1, "key": "k", "student": "small", "ratio": ratio, "seconds": seconds}
    record = {"seconds": seconds, "students": [seconds], "task": "films", "picks": [pick]}
    write_sealed(folder / "out" / "recommendation.json", record)
    return folder


def test_a_recommendation_is_the_same_whatever_its_times(tmp_path: Path) -> None:
    first = left_by(recommendation(tmp_path / "a", 1.0))
    assert left_by(recommendation(tmp_path / "b", 2.5)) == first
    assert left_by(recommendation(tmp_path / "c", 1.0, ratio=0.8)) != first


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("code", "busy"), [("while True: pass", True), ("import time; time.sleep(600)", False)])
def test_what_computes_is_told_from_what_waits(code: str, busy: bool) -> None:
    process = subprocess.Popen([sys.executable, "-c", f"print(flush=True)\n{code}"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert computes(process.pid) == busy
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_job_hears_sigint_whoever_began_the_soak(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does in the background
    try:
        process = begun(tmp_path, ("predict", ".", "--file", "-"))
        (ignored,) = re.findall(r"SigIgn:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())
    finally:
        signal.signal(signal.SIGINT, before)
        process.kill()
        process.communicate()
    assert not int(ignored, 16) >> (signal.SIGINT - 1) & 1
