"""`autodistill doctor`: what stands in the way of a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autodistill.commands import doctor
from cli import app
from engine.base import DISTRIBUTION


def installed(folder: Path, name: str, *packages: str) -> None:
    """A distribution as pip leaves it in `folder`."""
    about = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", "utf-8")
    (about / "top_level.txt").write_text("\n".join(packages), "utf-8")


@pytest.fixture(name="before", autouse=True)
def _before() -> set[str]:
    """What stands in the way where the tests run, which may be an environment with much in it."""
    return set(doctor.conflicts())


def test_another_distribution_with_a_package_of_our_name(
    before: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, "game-engine", "engine", "cli")
    installed(tmp_path, "autodistiller_NLP", "engine", "autodistill")  # ours, as others spell it
    installed(tmp_path, "harmless", "harmless")
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = set(doctor.conflicts()) - before
    assert "game-engine 1.2 also brings engine and cli" in found
    assert "pip uninstall game-engine" in found
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["doctor"])
    assert f"warning: {found}" in shown.stdout
    assert found in json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)["conflicts"]


def test_a_package_that_is_loaded_from_elsewhere(
    before: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meta_data").mkdir()
    (tmp_path / "meta_data" / "__init__.py").write_text("", "utf-8")
    monkeypatch.delitem(sys.modules, "meta_data", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = set(doctor.conflicts()) - before
    assert found.startswith(f"meta_data is loaded from {tmp_path}")


def test_our_own_distribution_is_no_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {package: [DISTRIBUTION] for package in doctor.OURS}
    monkeypatch.setattr(doctor, "packages_distributions", lambda: ours)
    assert list(doctor.conflicts()) == []
