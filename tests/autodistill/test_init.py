"""`autodistill` and `engine`: what they export, and that nothing is loaded before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import autodistill
import engine
from tests.conftest import ROOT

HEAVY = ("torch", "transformers", "pandas", "sklearn", "datasets", "pydantic")
EXPECTED = {
    *("distill", "Pipeline", "AutoDistiller", "Limits", "RunOptions", "FineTuning", "RunResult"),
    *("load_task", "load_predictor", "export_model", "Augmentation", "Training", "Weights"),
}


@pytest.mark.parametrize("name", autodistill.__all__)
def test_every_name_leads_somewhere(name: str) -> None:
    assert getattr(autodistill, name).__name__ == name
    assert name in dir(autodistill)


@pytest.mark.parametrize("name", engine.__all__)
def test_every_name_of_the_engine_is_one_of_the_whole(name: str) -> None:
    assert getattr(engine, name) is getattr(autodistill, name)
    assert name in dir(engine)


def test_what_a_user_needs_is_there() -> None:
    assert set(autodistill.__all__) >= EXPECTED
    assert len(set(autodistill.__all__)) == len(autodistill.__all__)
    assert "__doc__" in dir(autodistill)


def test_every_kind_of_a_component_is_exported() -> None:
    from engine.pipeline.pipeline import component_specs

    kinds = {spec.__name__ for specs in component_specs().values() for spec in specs}
    assert kinds <= set(autodistill.__all__)


def test_an_unknown_name_is_refused() -> None:
    for package in (autodistill, engine):
        with pytest.raises(AttributeError, match="has no attribute 'distil'"):
            package.distil  # noqa: B018


def loaded_by(code: str) -> set[str]:
    code = f"import sys; {code}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def test_importing_loads_nothing() -> None:
    assert not loaded_by("import autodistill, engine") & set(HEAVY)


def test_a_spec_loads_no_torch() -> None:
    assert not loaded_by("from autodistill import EMD, FineTuning, Limits, Pipeline, RunResult") & set(HEAVY[:-1])


def test_everything_at_once() -> None:
    assert "engine.distillation" in loaded_by("from autodistill import *; Pipeline(); distill")
