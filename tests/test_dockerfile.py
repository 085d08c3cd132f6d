"""The Dockerfile: what it copies is there, what it runs is our command line, and nobody is root in it.

An image is not built here, which takes a daemon and a registry.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from typer.main import get_command

from cli import app

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "Dockerfile").read_text("utf-8")
LINES = [line for line in TEXT.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
LAST_STAGE = LINES[max(index for index, line in enumerate(LINES) if line.startswith("FROM ")) :]


def said(instruction: str, lines: list[str] = LINES) -> list[str]:
    """What stands behind an instruction, once for each time that it is given."""
    return [line.removeprefix(f"{instruction} ") for line in lines if line.startswith(f"{instruction} ")]


COPIED = [source for line in said("COPY") if not line.startswith("--from") for source in shlex.split(line)[:-1]]
IGNORED = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if not line.startswith("#")]


def test_only_what_is_copied_is_sent() -> None:
    assert IGNORED[0] == "*"
    assert sorted(COPIED) == sorted(line.removeprefix("!") for line in IGNORED if line.startswith("!"))


@pytest.mark.parametrize("source", COPIED)
def test_what_it_copies_is_there(source: str) -> None:
    assert (ROOT / source).exists()


def test_all_that_is_installed_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    modules = {f"{name}.py" for name in project["tool"]["setuptools"]["py-modules"]}
    assert packages | modules | {project["project"]["readme"], "LICENSE"} <= {*COPIED}


def test_its_python_is_one_that_the_project_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (python,) = [argument.removeprefix("PYTHON=") for argument in said("ARG") if argument.startswith("PYTHON=")]
    assert python in SpecifierSet(project["requires-python"])
    assert f"Python {python}." in (ROOT / "constraints.txt").read_text("utf-8")
    assert all(re.fullmatch(r"python:\$\{PYTHON\}-slim( AS build)?", image) for image in said("FROM"))


def test_packages_are_pinned_and_none_is_kept_twice() -> None:
    installs = [line for line in said("RUN") if "pip install" in line]
    assert len(installs) == 4
    assert all("--constraint constraints.txt" in line or "--no-deps" in line for line in installs)
    assert "PIP_NO_CACHE_DIR=1" in TEXT
    assert all("rm -rf /var/lib/apt/lists/*" in line for line in said("RUN") if "apt-get" in line)


def test_it_runs_the_demo_of_make() -> None:
    (begin,), (arguments,) = said("ENTRYPOINT", LAST_STAGE), said("CMD", LAST_STAGE)
    command = [*json.loads(begin), *json.loads(arguments)]
    demo = re.search(r"\$\(BIN\)/(autodistill run demo .*)", (ROOT / "Makefile").read_text("utf-8"))
    assert demo is not None
    assert command == shlex.split(demo[1])


def test_what_it_runs_is_understood() -> None:
    (arguments,) = said("CMD", LAST_STAGE)
    name, *rest = json.loads(arguments)
    context = get_command(app).commands[name].make_context(name, rest)
    assert context.params["data"] == "demo"


def test_its_user_is_not_root_and_owns_what_it_writes() -> None:
    (user,), (volume,), (folder,) = (said(name, LAST_STAGE) for name in ("USER", "VOLUME", "WORKDIR"))
    (made,) = (line for line in said("RUN", LAST_STAGE) if "useradd" in line)
    assert user != "root"
    assert made.split(" && ")[0].split()[-1] == user
    assert f"chmod 1777 {volume} {folder}" in " ".join(made.split())
    assert f"HOME={volume}" in said("ENV", LAST_STAGE)[0]
    assert LAST_STAGE.index(f"VOLUME {volume}") > LAST_STAGE.index(f"RUN {made}")  # what is changed later is lost


def test_it_names_no_host() -> None:
    assert "://" not in TEXT
