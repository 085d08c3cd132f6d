"""How a run is carried out: what stands for the paper's values, and where the cache is."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.errors import InputError
from engine.base.options import FineTuning, RunOptions, StartKind
from engine.pipeline.pipeline import Pipeline
from engine.run.plan import plan_run
from tests.toys import toy_task

tunings = st.builds(
    FineTuning,
    when=st.sampled_from(["auto", "always", "never"]),
    epochs=st.none() | st.integers(1, 50),
    early_stopping=st.none() | st.integers(0, 9),
    batch_size=st.integers(1, 64),
    learning_rate=st.none() | st.floats(1e-6, 1),
    seed=st.integers(0, 9),
)


@given(tunings, st.sampled_from(get_args(StartKind)), st.integers(8, 2000), st.integers(1, 10**6))
def test_what_is_resolved_has_no_open_values_and_keeps_the_others(
    tuning: FineTuning, start: StartKind, width: int, rows: int
) -> None:
    before, resolved = tuning.model_dump(), tuning.resolved(start, width, rows)
    after = resolved.model_dump()
    assert None not in after.values()
    assert {name: after[name] for name, value in before.items() if value is not None} == {
        name: value for name, value in before.items() if value is not None
    }
    assert resolved.resolved("pretrained", width + 100, rows + 10) == resolved


@pytest.mark.parametrize("width, rate", [(128, 3e-4), (256, 3e-4), (384, 1e-4), (512, 1e-4), (768, 5e-5), (1024, 5e-5)])
def test_a_smaller_encoder_learns_faster(width: int, rate: float) -> None:
    assert FineTuning().resolved("pretrained", width, 1000).learning_rate == rate
    assert FineTuning().resolved("scratch", width, 1000).learning_rate == 5e-4


@pytest.mark.parametrize(
    "rows, epochs, patience", [(8, 30, 200), (300, 30, 11), (1500, 16, 3), (3000, 8, 2), (67_000, 4, 2)]
)
def test_less_data_is_read_more_often(rows: int, epochs: int, patience: int) -> None:
    resolved = FineTuning().resolved("pretrained", 384, rows)
    assert (resolved.epochs, resolved.early_stopping) == (epochs, patience)
    assert FineTuning().resolved("scratch", 384, rows).epochs == max(epochs, 10)


def test_given_epochs_are_trained_to_the_last() -> None:
    assert FineTuning(epochs=7).resolved("pretrained", 384, 300).early_stopping == 0
    both = FineTuning(epochs=7, early_stopping=3).resolved("pretrained", 384, 300)
    assert (both.epochs, both.early_stopping) == (7, 3)


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


def test_without_a_home_the_cache_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container under a number that nobody has."""
    monkeypatch.setattr(Path, "home", nobodys)
    monkeypatch.delenv("AUTODISTILLER_CACHE", raising=False)
    assert RunOptions(cache_dir=str(tmp_path)).cache == tmp_path
    with pytest.raises(InputError, match="--cache-dir: nothing is named here, and this user has no home"):
        _ = RunOptions().cache
    monkeypatch.setenv("AUTODISTILLER_CACHE", str(tmp_path))
    assert RunOptions().cache == tmp_path


def nobodys() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_of_the_options_only_rounding_belongs_to_a_runs_identity() -> None:
    """The others cannot even reach it."""
    task = toy_task("single", rows=8, held_out=4)
    models = "scratch:layers=2,hidden=16,heads=2", "layers:1"
    identities = {plan_run(task, Pipeline(), *models, precision=name).identity for name in ("float32", "bf16", "fp16")}
    assert len(identities) == 3
    tuned = plan_run(task, Pipeline(), *models, fine_tuning=FineTuning(epochs=1)).identity
    assert tuned not in identities


def test_what_nobody_said_is_not_written() -> None:
    """Names of what is kept are hashes of this text, and they outlive new fields."""
    assert FineTuning().model_dump_json() == (
        '{"when":"auto","epochs":null,"early_stopping":null,"batch_size":16,"learning_rate":null,"seed":0}'
    )
    asked = FineTuning(prompt="{text} is", label_words={"good": "great", "bad": "poor"})
    assert asked.label_words == "good=great,bad=poor"
    assert FineTuning.model_validate_json(asked.model_dump_json()) == asked
