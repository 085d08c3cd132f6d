"""This project's command as a process that may be killed with all that it has begun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

CLI = Path(__file__).resolve().parents[1] / "cli.py"


def begin(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The command, begun in a folder; what it says goes into the file `log` there."""
    known = os.environ | {"PYTHONPATH": str(CLI.parent)}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(CLI), *arguments],
            cwd=folder,
            env=known,
            start_new_session=True,
            stdout=log,
            stderr=log,
        )


def end(folder: Path, *processes: subprocess.Popen[bytes]) -> None:
    """Waits for commands that were begun in a folder; an error where one fails."""
    if failed := [process.returncode for process in processes if process.wait()]:
        raise SystemExit(f"ended with {failed}: {(folder / 'log').read_text('utf-8')[-2000:]}")


def kill(process: subprocess.Popen[bytes]) -> None:
    """It and all that it has begun, at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
