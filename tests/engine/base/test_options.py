"""How a run is carried out: what stands for the paper's values, and where the cache is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.options import FineTuning, RunOptions
from engine.pipeline.pipeline import Pipeline
from engine.run.plan import plan_run
from tests.toys import toy_task

tunings = st.builds(
    FineTuning,
    when=st.sampled_from(["auto", "always", "never"]),
    epochs=st.none() | st.integers(1, 50),
    batch_size=st.integers(1, 64),
    learning_rate=st.none() | st.floats(1e-6, 1),
    seed=st.integers(0, 9),
)


@given(tunings, st.booleans())
def test_what_is_resolved_has_no_open_values_and_keeps_the_others(tuning: FineTuning, from_scratch: bool) -> None:
    before, after = tuning.model_dump(), tuning.resolved(from_scratch).model_dump()
    assert None not in after.values()
    assert {name: after[name] for name, value in before.items() if value is not None} == {
        name: value for name, value in before.items() if value is not None
    }
    assert tuning.resolved(from_scratch).resolved(not from_scratch) == tuning.resolved(from_scratch)


def test_a_teacher_from_scratch_trains_longer_and_faster() -> None:
    pretrained, scratch = (FineTuning().resolved(from_scratch) for from_scratch in (False, True))
    assert (pretrained.epochs, pretrained.learning_rate) == (4, 5e-5)
    assert (scratch.epochs, scratch.learning_rate) == (10, 5e-4)


def test_the_cache_is_where_the_nearest_word_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option before the environment before the home folder; to ask creates nothing."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AUTODISTILLER_CACHE", raising=False)
    places = [RunOptions().cache]
    monkeypatch.setenv("AUTODISTILLER_CACHE", "~/environment")
    places.append(RunOptions().cache)
    places.append(RunOptions(cache_dir="~/option").cache)
    names = (".cache/autodistiller", "environment", "option")
    assert places == [tmp_path / name for name in names]
    assert not [*tmp_path.iterdir()]


def test_of_the_options_only_rounding_belongs_to_a_runs_identity() -> None:
    """The others cannot even reach it."""
    task = toy_task("single", rows=8, held_out=4)
    models = "scratch:layers=2,hidden=16,heads=2", "layers:1"
    identities = {plan_run(task, Pipeline(), *models, precision=name).identity for name in ("float32", "bf16", "fp16")}
    assert len(identities) == 3
    tuned = plan_run(task, Pipeline(), *models, fine_tuning=FineTuning(epochs=1)).identity
    assert tuned not in identities
