"""The engine never prints: its default reporter writes to the log alone."""

from __future__ import annotations

import inspect
import logging

import pytest

from engine.base.progress import Reporter, SilentReporter
from tests.engine.conftest import Ear


def test_messages_go_to_the_log_and_nothing_is_printed(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = SilentReporter()
    with caplog.at_level(logging.DEBUG, "autodistiller"):
        reporter.message("the teacher is ready")
        reporter.start("student", 30, 10)
        for _ in range(20):
            reporter.advance("student", note="loss 0.1")
        reporter.finish("student")
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "the teacher is ready"),
        ("DEBUG", "student: 10 of 30 steps"),
        ("DEBUG", "student: done"),
    ]
    assert (capsys.readouterr().out, capsys.readouterr().err) == ("", "")


@pytest.mark.parametrize("reporter", [SilentReporter, Ear])
def test_a_reporter_takes_what_the_engine_gives(reporter: type) -> None:
    """Same methods, same names and defaults: the engine calls some of them by keyword."""
    methods = {name: method for name, method in vars(Reporter).items() if inspect.isfunction(method)}
    methods = {name: method for name, method in methods.items() if not name.startswith("_")}
    assert methods.keys() == {"message", "start", "advance", "finish"}
    for name, method in methods.items():
        promised, kept = (inspect.signature(each).parameters for each in (method, getattr(reporter, name)))
        assert [(one.name, one.default) for one in kept.values()] == [
            (one.name, one.default) for one in promised.values()
        ]
