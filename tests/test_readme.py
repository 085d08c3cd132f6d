"""What README and examples promise: their commands run, their links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import app
from engine import distill
from engine.base.options import FineTuning
from engine.pipeline.read import load_pipeline
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("meta_data/*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
MADE_TINY = (
    "--teacher scratch:layers=2,hidden=32 --student layers:1 --teacher-epochs 1 --set training.epochs=1 "
    "--max-train 40 --max-validation 20 --precision float32 --json"
)


def blocks(language: str) -> list[str]:
    """The fenced blocks of README in one language; `console` needs the hub and is not run."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("autodistill ")]


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader of README stands: with the examples, and data of their own."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "examples", folder / "examples")
    lines = [
        f'"The soup was {word} and the {thing} {word}.",{label}'
        for label, words in {"good": ("warm", "fresh", "kind"), "bad": ("cold", "stale", "rude")}.items()
        for word in words
        for thing in ("waiter", "room", "bread", "coffee", "service", "table")
    ]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *lines * 2]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _at_home(folder: Path, readers_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("AUTODISTILLER_CACHE", str(readers_cache))


def test_readme_begins_with_the_two_commands() -> None:
    commands = re.findall(r"^    (make \w+)", README.split("## ")[0], flags=re.MULTILINE)
    assert commands == ["make demo", "make test"]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE)
    assert {"demo", "test", "lint", "bench", "clean"} <= set(targets)


def test_make_demo_is_the_demo_of_readme() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (demo,) = (command for command in COMMANDS if command.startswith("autodistill run demo"))
    assert f"$(BIN)/{demo}\n" in makefile


def test_make_bench_runs_every_benchmark() -> None:
    files = (ROOT / "benchmarks").glob("*.py")
    scripts = sorted(path.name for path in files if "__main__" in path.read_text("utf-8"))
    assert scripts
    assert sorted(re.findall(r"benchmarks/(\w+\.py)", (ROOT / "Makefile").read_text("utf-8"))) == scripts


def test_every_command_of_readme_is_there() -> None:
    named = {shlex.split(command)[1] for command in COMMANDS}
    assert named >= {"recommend", "run", "predict", "show", "validate", "components"}


@pytest.mark.slow
def test_the_commands_of_readme(folder: Path) -> None:
    """In their order, because later ones use what earlier ones made."""
    for command in COMMANDS:
        large = command.startswith(("autodistill run ", "autodistill recommend "))
        models = r" --(teacher|student) \S+"  # a second student would be refused
        arguments = shlex.split(f"{re.sub(models, '', command)} {MADE_TINY}" if large else command)[1:]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{command}\n{result.output}"
        assert result.stdout.strip()
        if large:
            found = json.loads(result.stdout)
            first = found[0]["result"] if isinstance(found, list) else found
            assert first.get("status") == "ok" or first["picks"], command


@pytest.mark.slow
def test_the_python_of_readme(folder: Path) -> None:
    printed = []
    for code in blocks("python"):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(code, "README.md", "exec"), {})
        printed.append([float(figure) for figure in said.getvalue().split()])
    (teacher, student, _), (predicted, reached), searched = printed
    assert all(0 <= score <= 1 for score in (teacher, student, *searched))
    assert 0 < predicted < 2
    assert reached >= 0


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example: Path, tmp_path: Path) -> None:
    result = distill(
        "reviews.csv",
        teacher="scratch:layers=2,hidden=32",
        student="scratch:layers=1,hidden=16",
        pipeline=load_pipeline(example, ["training.epochs=1"]),
        out=tmp_path,
        fine_tuning=FineTuning(epochs=1),
    )
    assert result.status == "ok"
    assert result.student_score is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]
