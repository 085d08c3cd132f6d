"""What a person sees: exit codes, messages, progress on a terminal and in a log."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable

import pytest
from rich.console import Console
from sqlalchemy.exc import OperationalError

from autodistill.commands import console
from autodistill.commands.show import Shown
from cli import app
from engine.base import machine
from engine.base.errors import InputError, NonFiniteLossError, Problem

TRIED = "you tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
ON_GPU = "Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139 GiB of which 1.50 GiB is free."
OBEYED = "\x1b[2Ja\rb\nc\x9bd\u202e[red]x[/red] :smile:\udcff"
SHOWN = r"\x1b[2Ja\rb\nc\x9bd\u202e[red]x[/red] :smile:\udcff"


def raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError([Problem("a", "is wrong"), Problem("b", "is too")]), 2, "Error: a: is wrong\nError: b: is too"),
        (NonFiniteLossError(3, "intermediate"), 1, "Error: the intermediate loss is not a finite number at step 3"),
        (OSError(28, "No space left on device"), 1, "Error: a disk is full (No space left on device)"),
        (OSError(28, "No space left on device", "/tmp/a"), 1, "Error: the disk of /tmp is full: "),
        (
            OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full")),
            1,
            "Error: a disk is full",
        ),
        (PermissionError(13, "Permission denied", "/out"), 2, "Error: /out: Permission denied"),
        (OSError(36, "File name too long", "/out"), 2, "Error: /out: File name too long"),
        (OSError(5, "Input/output error", "/out"), 1, "Error: the disk of / fails (Input/output error)"),
        (MemoryError("Unable to allocate 7.45 GiB for an array"), 1, "not suffice: 8 GB more are needed, and "),
        (MemoryError(), 1, "Error: the memory does not suffice: "),
        (RuntimeError("std::bad_alloc"), 1, "Error: the memory does not suffice: "),
        (OSError(12, "Cannot allocate memory"), 1, "Error: the memory does not suffice: "),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), 1, "the memory does not suffice: "),
        (RuntimeError(f"DefaultCPUAllocator: can't allocate memory: {TRIED}"), 1, "suffice: 4,000 GB more are needed"),
        (RuntimeError(f"CUDA out of memory. {ON_GPU}"), 1, "suffice: 2.15 GB more are needed, and 1.61 GB are free"),
        (KeyboardInterrupt(), 130, "Stopped. Go on like this."),
    ],
)
def test_what_went_wrong_has_a_message_and_a_code(
    error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped, console.handled(resume="Go on like this."):
        raising(error)()
    assert stopped.value.code == code
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""


def test_the_unforeseen_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), console.handled():
        raising(ZeroDivisionError())()


STARVING = """
import sys
from autodistill.commands import console
from engine.base import machine

def nothing():
    if sys.argv[1] == "too little to ask":
        raise MemoryError
    return 0

machine.free_memory = console.free_memory = nothing
with console.handled():
    try:
        raise TypeError("'frame' object is not callable")  # as Python says where not a byte is left
    finally:
        import atexit
        atexit.register(lambda: print("not in the end"))
"""


@pytest.mark.parametrize(("how", "said"), [("nothing is left", ": 0 bytes are free"), ("too little to ask", "")])
def test_whatever_fails_for_want_of_memory_is_one_line(how: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", STARVING, how], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: the memory does not suffice{said}\n"


def test_where_the_libraries_have_no_room_nothing_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: 450_000_000)
    for command in (
        ["run", "demo"],
        ["recommend", "demo"],
        ["predict", "here"],
        ["augment", "demo", "--policy", "random"],
    ):
        with pytest.raises(SystemExit) as ended:
            app(command)
        assert ended.value.code == 2
        assert capsys.readouterr().err == (
            "Error: PyTorch and the libraries beside it: the memory does not suffice: "
            "600 MB are needed at least, and 450 MB are free\n"
        )
    with pytest.raises(SystemExit) as ended:
        app(["components"])
    assert ended.value.code == 0


def test_wrong_input_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), console.handled(as_json=True):
        raising(InputError(Problem("mapping.kind", "unknown kind", "'skp'", ("skip",), "skip")))()
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem == {
        "place": "mapping.kind",
        "what": "unknown kind",
        "got": "'skp'",
        "allowed": ["skip"],
        "suggestion": "skip",
    }


def test_lines_for_a_log(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    reporter = console.LineReporter()
    reporter.message("columns: [text] → text")
    reporter.start("student", total=100, done=40)
    for now in (1.0, 2.0, 12.0):  # noqa: B007 - read by the clock above
        reporter.advance("student", 10, note="loss 0.5000")
    now = 22.0
    reporter.advance("student", 30)
    reporter.finish("student")
    assert capsys.readouterr().err.splitlines() == [
        "columns: [text] → text",
        "student: 70 of 100 steps, 2.5 steps/s, 12 s left, loss 0.5000",
        "student: 100 of 100 steps, 2.7 steps/s, loss 0.5000",
    ]


def test_what_may_stop_early_takes_at_most_so_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    reporter = console.LineReporter()
    reporter.start("teacher", total=100, most=True)
    now = 10.0
    reporter.advance("teacher", 25)
    assert capsys.readouterr().err == "teacher: 25 of 100 steps, 2.5 steps/s, at most 30 s left\n"
    screen = io.StringIO()
    with console.progress_bars(Console(file=screen, force_terminal=True, width=120)) as progress:
        bars = console.BarReporter(progress)
        bars.start("teacher", total=100, most=True)
        progress.refresh()
        assert console.AT_MOST in screen.getvalue()
        bars.finish("teacher")
        assert not progress.tasks[0].fields["most"]


def test_a_short_stage_makes_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = console.LineReporter()
    reporter.start("evaluation", total=2)
    reporter.advance("evaluation", 2)
    reporter.finish("evaluation")
    assert capsys.readouterr().err == ""


def test_bars_for_a_terminal() -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=120)
    with console.progress_bars(terminal) as progress:
        reporter = console.BarReporter(progress)
        for _ in range(2):  # the same stage twice has one bar
            reporter.start("teacher signals", total=10, done=4, unit="examples")
            reporter.advance("teacher signals", 6, note="half way")
            reporter.finish("teacher signals")
        reporter.message("a [bracket] stays")
        assert len(progress.tasks) == 1
        assert progress.tasks[0].elapsed >= 0
    shown = screen.getvalue()
    assert "teacher signals" in shown
    assert "10/10" in shown
    assert "half way" in shown
    assert "a [bracket] stays" in shown


def test_a_repeated_stage_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """While its bar, which had stopped, was under way again, less than no time had passed."""
    now = 0.0
    bars = console.progress_bars(Console(file=io.StringIO(), force_terminal=True))
    monkeypatch.setattr(bars, "get_time", lambda: now)
    with bars:
        reporter = console.BarReporter(bars)
        reporter.start("student", total=10)
        now = 3.0
        reporter.finish("student")
        now = 5.0
        reporter.start("student", total=10)
        now = 7.0
        (stage,) = bars.tasks
        assert stage.elapsed == 2


@pytest.mark.parametrize("width", [40, 80])
def test_a_terminal_breaks_sentences_between_words(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def terminal(**_: object) -> Console:
        return Console(file=screen, force_terminal=True, color_system=None, width=width)

    screen = io.StringIO()
    monkeypatch.setattr(console, "_console", terminal)
    path = f"/somewhere/{'long/' * 20}result.json"
    text = f"warning: The teacher's accuracy is not clearly above always giving the commonest answer: see {path} there"
    with pytest.raises(SystemExit), console.handled():
        raising(InputError.of("", text))()
    console.say(text)
    console.BarReporter(console.progress_bars(terminal())).message(text)
    assert screen.getvalue().split() == ["Error:", *text.split() * 3]
    assert all(len(line) <= width or line.strip() == path for line in screen.getvalue().splitlines())


def test_elsewhere_a_sentence_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("word " * 50)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_reporting_chooses_lines_without_a_terminal() -> None:
    with console.reporting() as reporter:
        assert isinstance(reporter, console.LineReporter)


def test_no_terminal_obeys_what_stands_in_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    """Labels, names and texts as data bring them: escapes, line breaks, another direction, rich's markup."""
    console.say(f"label: {OBEYED}")
    console.LineReporter().message(OBEYED)
    with pytest.raises(SystemExit), console.handled():
        raising(InputError([Problem(OBEYED, "is wrong"), Problem("b", OBEYED)]))()
    assert capsys.readouterr().err.splitlines() == [
        f"label: {SHOWN}",
        SHOWN,
        f"Error: {SHOWN}: is wrong",
        f"Error: b: {SHOWN}",
    ]
    console.show(Shown({}, [([OBEYED, ""], [[OBEYED, "1"]], OBEYED)], [OBEYED], f"[a]\nb = '{OBEYED[:5]}'\n"), False)
    out = capsys.readouterr().out
    assert out.count(SHOWN) == 4
    assert out.endswith("[a]\nb = '\\x1b[2Ja'\n")
    assert not {"\x1b", "\r", "\x9b", "\u202e"} & set(out)


def test_bars_do_not_obey_it_either() -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=200, color_system=None)
    with console.progress_bars(terminal) as progress:
        bars = console.BarReporter(progress)
        bars.message(OBEYED)
        bars.start(OBEYED, total=1)
        bars.advance(OBEYED)
        progress.refresh()
    assert screen.getvalue().count(SHOWN) >= 2
    assert "\x9b" not in screen.getvalue()


def test_json_is_what_it_was_and_has_nothing_to_obey(capsys: pytest.CaptureFixture[str]) -> None:
    console.show(Shown({"label": OBEYED, "é": "好"}), True)
    out = capsys.readouterr().out
    assert json.loads(out) == {"label": OBEYED, "é": "好"}
    assert "好" in out
    assert not {"\x1b", "\r", "\x9b", "\u202e", "\udcff"} & set(out)
