"""Evaluations: what is reported, in figures, words and pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from autodistill.commands import show_evaluation
from autodistill.evaluation.figures import draw
from autodistill.evaluation.leave_one_out import HeldOut
from autodistill.evaluation.report import _sentences, evaluate
from autodistill.ranking.fitted import PREDICTORS
from autodistill.ranking.past import Rank, RunTable
from cli import app
from engine.base.errors import InputError
from engine.base.progress import SilentReporter
from tests.autodistill.made_up import by_size, everywhere_the_same, made_up
from tests.ear import Ear

QUICK = ("ridge", "mean_rank", "random")


def test_an_evaluation(tmp_path: Path) -> None:
    table = made_up(everywhere_the_same, datasets=6, repeats=2)
    found, held_out = evaluate(table, "made up", SilentReporter(), "mixed", tmp_path, QUICK)
    assert found.runs == 6 * 24
    assert set(found.datasets) == set(table.names) == {each.dataset for each in held_out}
    assert list(found.predictors) == ["mixed", *QUICK, "oracle"]
    assert found.mean_spearman == found.predictors["mixed"]["spearman"]
    assert found.interval is not None
    assert found.interval[0] <= found.mean_spearman <= found.interval[1]
    assert found.predictors["oracle"]["spearman"] == pytest.approx(1)
    assert found.predictors["oracle"]["regret_at_1"] == 0
    assert found.predictors["oracle"]["within_pair_regret_at_1"] == 0
    assert list(found.differences) == [*QUICK]
    gain, low, high = found.differences["random"]["spearman"]
    assert gain == pytest.approx(found.mean_spearman - found.predictors["random"]["spearman"])
    assert 0 < low <= gain <= high
    assert set(found.features) == set(found.datasets)
    assert found.noise_ceiling is not None
    assert found.mean_spearman < found.noise_ceiling + 0.1
    assert 0.5 < (found.interval_coverage or 0) <= 1
    assert any("mean rank of configurations" in note for note in found.notes)
    assert any("nothing is known to depend on the dataset" in note for note in found.notes)


def test_it_says_so_where_it_does_not_beat_the_mean_rank(tmp_path: Path) -> None:
    table = made_up(everywhere_the_same, datasets=6)
    found, _ = evaluate(table, "made up", SilentReporter(), "random", tmp_path, ("mean_rank",))
    assert found.features == {}, "it has none to choose"
    assert any(note.startswith("random does not beat the mean rank") for note in found.notes)


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ([0.2, 0.1, 0.3, 0.2], "beats the mean rank of configurations: +0.200 in rank correlation, better on 4 of 4"),
        ([0.5, -0.1, 0.0, 0.1], "is not clearly better than the mean rank of configurations: +0.125"),
        ([0.5, 0.1], "is not clearly better than the mean rank of configurations: +0.300"),
        ([-0.2, 0.1, 0.0], "does not beat the mean rank of configurations: -0.033"),
    ],
)
def test_it_beats_the_mean_rank_where_the_interval_says_so(gains: list[float], words: str) -> None:
    """On the published runs +0.108 (−0.014 to 0.323) was said to beat it."""
    table = made_up(everywhere_the_same, datasets=len(gains))

    def reached(scores: Sequence[float]) -> list[HeldOut]:
        pairs = zip(table.names, scores, strict=True)
        return [HeldOut(name, table.runs, {"spearman": score}, lambda _: np.zeros(1)) for name, score in pairs]

    held_out = {"mixed": reached([0.3 + gain for gain in gains]), "mean_rank": reached([0.3] * len(gains))}
    assert next(_sentences(held_out, "mixed", table)).startswith(f"mixed {words}")


@pytest.mark.parametrize("predictor", ["mixed", "ridge", "mean_rank"])
def test_two_datasets_are_enough(predictor: str, tmp_path: Path) -> None:
    table = made_up(everywhere_the_same, datasets=2)
    found, _ = evaluate(table, "made up", SilentReporter(), predictor, tmp_path, ("mean_rank",))
    assert set(found.datasets) == set(table.names)
    assert found.mean_spearman is not None
    assert found.interval is None
    assert found.interval_coverage is None


def test_one_run_of_a_dataset_of_its_own_sways_no_figure(tmp_path: Path) -> None:
    """It may be learned from; whether an interval holds what is held out, it cannot tell."""
    table = made_up(everywhere_the_same, datasets=4)
    own = table.runs[:1].assign(dataset="mine@f", intermediate="pkd", ratio=0.1, score=0.09)
    found, _ = evaluate(
        replace(table, runs=pd.concat([table.runs, own], ignore_index=True)),
        "made up",
        SilentReporter(),
        "mean_rank",
        tmp_path,
        (),
    )
    assert set(found.interval_coverages) == set(table.names)
    assert "12 configurations on a dataset, 12 of them on every dataset" in found.notes
    assert found.datasets["mine@f"] == {}


def test_one_dataset_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least two"):
        evaluate(made_up(everywhere_the_same, datasets=1), "made up", SilentReporter(), "ridge", tmp_path, ())


def test_every_row_of_a_table_is_as_wide_as_its_head(tmp_path: Path) -> None:
    found, _ = evaluate(made_up(by_size, datasets=4), "made up", SilentReporter(), "ridge", tmp_path, ("random",))
    shown = show_evaluation.evaluation(found)
    assert len(shown.tables) == 11
    for columns, rows, _ in shown.tables:
        assert {len(row) for row in rows} == {len(columns)}
    assert shown.lines
    assert all(shown.lines)


def test_a_stopped_evaluation_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fold of each predictor is fitted once, and figures are said as they come."""
    table, fits = made_up(by_size, datasets=4), []

    def counted(past: RunTable) -> Rank:
        fits.append(past.names)
        if len(fits) == 3:
            raise KeyboardInterrupt
        return PREDICTORS["ridge"](past)

    monkeypatch.setattr("autodistill.ranking.fitted.PREDICTORS", {**PREDICTORS, "ridge": counted})
    with pytest.raises(KeyboardInterrupt):
        evaluate(table, "made up", SilentReporter(), "mean_rank", tmp_path, ("ridge",))
    ear = Ear()
    found, _ = evaluate(table, "made up", ear, "mean_rank", tmp_path, ("ridge",))
    assert len({tuple(names) for names in fits}) == 4
    assert len(fits) == 5, "the two folds that were finished are not fitted again"
    assert [text.partition(":")[0] for text in ear.messages] == ["mean_rank", "ridge"]
    assert f"Spearman {found.predictors['ridge']['spearman']:.3f}" in ear.messages[1]


@pytest.mark.parametrize(("more", "names"), [(["--predictor", "ridge"], ["ridge", "mean_rank", "oracle"]), ([], None)])
def test_a_predictor_that_is_named_is_compared_with_the_mean_rank_alone(
    more: list[str], names: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: fit for name, fit in PREDICTORS.items() if name not in ("autogluon", "lightgbm")}
    monkeypatch.setattr("autodistill.commands.run.PREDICTORS", few)
    made_up(everywhere_the_same, datasets=3).runs.to_csv(tmp_path / "runs.csv", index=False)
    arguments = ["evaluate", "--meta-data", str(tmp_path / "runs.csv"), "--cache-dir", str(tmp_path), "--json", *more]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert list(json.loads(result.stdout)["predictors"]) == (names or [*few, "oracle"])


def test_the_figures(tmp_path: Path) -> None:
    _, held_out = evaluate(made_up(by_size, datasets=5), "made up", SilentReporter(), "ridge", tmp_path, ())
    paths = draw(held_out, tmp_path)
    assert [path.name for path in paths] == ["predicted.png", "top_5.png"]
    for path in paths:
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 10_000


def test_from_the_command_line(tmp_path: Path) -> None:
    made_up(everywhere_the_same, datasets=3).runs.to_csv(tmp_path / "runs.csv", index=False)
    arguments = ["evaluate", "--meta-data", str(tmp_path / "runs.csv"), "--cache-dir", str(tmp_path), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    expected = {"mean_spearman", "mean_within_pair_spearman", "datasets", "predictors", "noise_ceiling"}
    assert expected <= set(found)
    assert {"spearman", "regret_at_5"} <= set(found["datasets"]["set0"])


@pytest.mark.shared
@pytest.mark.slow
def test_the_authors_runs(shared: Path, tmp_path: Path) -> None:
    """The goal of the recommender: 0.42 over all runs, where the paper prints 0.33."""
    from autodistill.evaluation.leave_one_out import leave_one_out, means
    from autodistill.history.store import Store
    from autodistill.ranking.knowledge import load_knowledge
    from autodistill.ranking.mixed import fit_mixed
    from autodistill.ranking.past import commonest_pair

    table, _ = load_knowledge([str(shared / "published" / "authors_runs")], Store(str(tmp_path / "s.db")))
    found = leave_one_out(lambda past: fit_mixed(past, (), 600), table, commonest_pair(table.runs))
    assert means(found)["spearman"] > 0.45
    assert min(each.measures["spearman"] for each in found) > 0.2
    assert means(found)["within_pair_spearman"] > 0.3
