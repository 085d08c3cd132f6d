"""Ctrl-C ends in one line, and says how to go on."""

from __future__ import annotations

import pytest

from autodistill.commands.stop import stopped


@pytest.mark.parametrize(("resume", "said"), [("", "\nStopped.\n"), ("Go on.", "\nStopped. Go on.\n")])
def test_one_line_and_130(resume: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        stopped(resume)
    assert stop.value.code == 130
    assert capsys.readouterr().err == said
