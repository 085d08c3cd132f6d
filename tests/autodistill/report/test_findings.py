"""Every number of a report, beside the plainest way to it; and tables that have little to say."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from autodistill.report import findings
from autodistill.report.findings import mean_over_datasets
from autodistill.report.material import with_runs
from tests.autodistill.report.study import epochs, frame_of, rows

RUNS = frame_of(rows())
CURVES = with_runs(epochs(rows()), RUNS)


def changed(**columns: object) -> pd.DataFrame:
    """The runs with other values of columns."""
    return frame_of([{**row, **columns} for row in rows()])


def test_a_mean_is_one_of_datasets_and_has_an_interval_from_three_on() -> None:
    values, datasets = pd.Series([1.0, 3.0, 10.0, np.nan]), pd.Series(["a", "a", "b", "c"])
    assert mean_over_datasets(values, datasets) == (6.0, None, None, 2)
    many = mean_over_datasets(pd.Series([1.0, 2.0, 6.0]), pd.Series(["a", "b", "c"]))
    assert many.low is not None
    assert many.high is not None
    assert 1 <= many.low < many.value == 3 < many.high <= 6
    assert np.isnan(mean_over_datasets(pd.Series([np.nan]), pd.Series(["a"])).value)


def test_the_overview_counts() -> None:
    found = findings.overview(RUNS)
    assert (
        list(found.index)
        == sorted(RUNS["among"].unique())
        == ["set0, test, 100 rows", "set0, test, 300 rows"] + [f"set{place}" for place in (1, 2, 3)]
    )
    own = RUNS[RUNS["among"] == "set2"]
    of = found.loc["set2"]
    assert (of.runs, of.configurations, of.teachers, of.students) == (64, 32, 2, 2)
    assert of.best_score == max(own.score)
    assert of.median_ratio == np.median(own.score / own.teacher_score)
    assert of.teacher_score == 0.9


def naive_configurations(runs: pd.DataFrame, among: str) -> dict[str, list[float]]:
    """Configuration → scores of its repeats."""
    found: dict[str, list[float]] = {}
    for _, row in runs[runs["among"] == among].iterrows():
        found.setdefault(row.configuration, []).append(row.score)
    return found


def test_configurations_stand_in_the_order_of_their_mean_scores() -> None:
    found = findings.by_configuration(RUNS)
    for among, own in found.groupby("among"):
        naive = {name: np.mean(scores) for name, scores in naive_configurations(RUNS, str(among)).items()}
        assert own.configuration.tolist() == sorted(naive, key=lambda name: -naive[name])
        assert np.allclose(own.score, sorted(naive.values(), reverse=True))
        assert own["rank"].tolist() == [*range(1, 33)]
        assert set(own.repeats) == {2}


def test_objectives_among_the_best_five_are_counted() -> None:
    found = findings.objectives_in_top(RUNS)
    assert not isinstance(found, str)
    assert set(found.counts) == {"none", "mse", "mi_alpha"}
    kinds = dict(zip(RUNS.configuration, RUNS.intermediate, strict=True))
    for among in RUNS["among"].unique():
        naive = {name: np.mean(scores) for name, scores in naive_configurations(RUNS, among).items()}
        best = [kinds[name] for name in sorted(naive, key=lambda name: -naive[name])[:5]]
        assert {name: found.counts.loc[among, name] for name in found.counts} == {
            name: best.count(name) for name in found.counts
        }
        assert found.expected.loc[among].to_dict() == {"none": 1.25, "mse": 1.25, "mi_alpha": 2.5}
    of_sets = [found.counts.loc[["set0, test, 100 rows", "set0, test, 300 rows"], "mi_alpha"].mean()]
    of_sets += [found.counts.loc[f"set{place}", "mi_alpha"] for place in (1, 2, 3)]
    assert found.means["mi_alpha"].value == pytest.approx(np.mean(of_sets))
    assert found.leads["mi_alpha"].value == pytest.approx(np.mean(of_sets) - 2.5)


def test_equally_good_ones_share_their_places() -> None:
    found = findings.objectives_in_top(changed(score=0.5))
    assert not isinstance(found, str)
    assert np.allclose(found.counts, found.expected[found.counts.columns])
    tied = frame_of([{**row, "score": 0.9 if row["intermediate"] == "mse" else 0.5} for row in rows()])
    counts = findings.objectives_in_top(tied)
    assert not isinstance(counts, str)
    assert (counts.counts["mse"] == 5).all(), "eight configurations share the five places"


def test_augmentation_is_judged_by_twins() -> None:
    found = findings.augmentation_gains(RUNS)
    assert not isinstance(found, str)
    assert len(found) == 5 * 2
    for _, row in found.iterrows():
        own = RUNS[(RUNS["among"] == row["among"]) & (RUNS.student == row.student)]
        gains = []
        for teacher, kind in product(("good", "better"), ("none", "mse", "mi_alpha")):
            twins = own[(own.teacher == teacher) & (own.intermediate == kind)]
            scores = [np.mean(twins[twins.augmentation == name].score) for name in ("mixup", "none")]
            gains.append(100 * (scores[0] - scores[1]))
        assert row.gain == pytest.approx(np.mean(gains))
        assert row.pairs == 6
    assert found.n_train.tolist() == [100] * 8 + [300] * 2


def test_twins_learn_from_gold_labels_alike() -> None:
    """Of runs without augmentation and with other weights of gold labels, no score matters."""
    weighed = [{**row, "weights.hard_label": 0.5} for row in rows()]
    others = [
        {**row, "weights.hard_label": weight, "score": 0.01}
        for row in rows()
        for weight in (0.0, 1.0)
        if row["augmentation"] == "none"
    ]
    found, alone = findings.augmentation_gains(frame_of([*weighed, *others])), findings.augmentation_gains(RUNS)
    assert not isinstance(found, str)
    assert not isinstance(alone, str)
    assert found.gain.tolist() == pytest.approx(alone.gain.tolist())
    without = [row for row in [*weighed, *others] if row["augmentation"] != "none" or row["weights.hard_label"] != 0.5]
    assert "and gold labels" in str(findings.augmentation_gains(frame_of(without)))


def test_models_are_compared_under_the_commonest_pipeline() -> None:
    kept = [row for row in rows() if row["intermediate"] == "mse" or row["dataset"] != "set1@0000000b"]
    found = findings.models(frame_of(kept))
    assert not isinstance(found, str)
    assert found.pipeline in ("mse, skip, ce, no augmentation", "mse, skip, ce, mixup")
    augmentation = "none" if "no augmentation" in found.pipeline else "mixup"
    assert [*found.scores.index] == [(s, t) for s in ("small", "tiny") for t in ("better", "good")]
    own = RUNS[(RUNS.intermediate == "mse") & (RUNS.augmentation == augmentation)]
    for (student, teacher), among in product(found.scores.index, found.scores.columns):
        cell = own[(own.student == student) & (own.teacher == teacher) & (own["among"] == among)]
        assert found.scores.loc[(student, teacher), among] == pytest.approx(np.mean(cell.score))
        every = RUNS[(RUNS.student == student) & (RUNS.teacher == teacher)]
        if among != "set1":
            best = max(map(np.mean, naive_configurations(every, among).values()))
            assert found.best.loc[(student, teacher), among] == pytest.approx(best)


def test_nothing_on_the_front_is_beaten_by_what_costs_no_more() -> None:
    found = findings.costs(RUNS)
    assert not isinstance(found, str)
    assert found.cost == "seconds"
    for _, own in found.rows.groupby("among"):
        for _, row in own.iterrows():
            beaten = any(
                (other.cost <= row.cost and other.ratio >= row.ratio) and other.configuration != row.configuration
                for _, other in own.iterrows()
            )
            assert row.front == (not beaten)


def test_without_seconds_it_is_parameters_that_cost() -> None:
    found = findings.costs(changed(seconds=None))
    assert not isinstance(found, str)
    assert found.cost == "student_parameters"
    assert (found.rows.groupby("among").front.sum() <= 2).all()


def test_learning_curves_are_quartiles_of_the_best_so_far() -> None:
    found = findings.learning_curves(CURVES)
    assert not isinstance(found, str)
    for _, row in found.iterrows():
        values = []
        for _, run in CURVES[(CURVES.student == row.student) & (CURVES.intermediate == row.objective)].groupby(
            "identity"
        ):
            so_far = run[run.epoch <= row.epoch].score.max()
            values.append(so_far / run.teacher_score.iloc[0])
        assert [row.low, row["median"], row.high] == pytest.approx(np.quantile(values, [0.25, 0.5, 0.75]))
        assert row.runs == len(values)
    assert found.epoch.max() == CURVES.epoch.max()


def test_epochs_until_a_run_is_there() -> None:
    found = findings.epochs_needed(CURVES)
    for _, row in found.iterrows():
        needed, lengths = [], []
        for _, run in CURVES[(CURVES.student == row.student) & (CURVES.intermediate == row.objective)].groupby(
            "identity"
        ):
            best = np.maximum.accumulate(run.sort_values("epoch").score)
            needed.append(1 + int(np.argmax(best >= 0.99 * best.iloc[-1])))
            lengths.append(len(run))
        assert (row.epoch, row.epochs) == (np.median(needed), np.median(lengths))


def test_a_curve_below_zero_is_there_at_its_end_at_the_latest() -> None:
    found = findings.epochs_needed(CURVES.assign(score=-1.0 / CURVES.epoch))
    assert (
        found.runs == CURVES.drop_duplicates("identity").groupby(["student", "intermediate"]).size().to_numpy()
    ).all()


def test_what_there_is_nothing_of_has_a_reason() -> None:
    assert "two objectives" in str(findings.objectives_in_top(changed(intermediate="mse")))
    assert "10 configurations" in str(
        findings.objectives_in_top(RUNS[RUNS.configuration == RUNS.configuration.iloc[0]])
    )
    assert "no run has augmentation" in str(findings.augmentation_gains(changed(augmentation="none")))
    assert "all with augmentation" in str(findings.augmentation_gains(changed(augmentation="mixup")))
    alone = RUNS[(RUNS.augmentation == "none") == (RUNS.teacher == "good")]
    assert "no run with augmentation has a twin" in str(findings.augmentation_gains(alone))
    assert "one teacher and one student" in str(findings.models(changed(teacher="good", student="tiny")))
    assert "neither their seconds" in str(findings.costs(changed(teacher_score=None)))
    assert "no learning curves" in str(findings.learning_curves(pd.DataFrame()))
    assert "no learning curves" in str(findings.learning_curves(CURVES.assign(teacher_score=np.nan)))


def test_components_that_are_not_stated_are_called_so() -> None:
    names = ["intermediate", "intermediate.alpha", "augmentation", "augmentation.mixup"]
    runs = frame_of([{key: value for key, value in row.items() if key not in names} for row in rows()])
    assert "two objectives" in str(findings.objectives_in_top(runs))
    assert "no run has augmentation" in str(findings.augmentation_gains(runs))
    assert not isinstance(findings.models(runs), str)


def test_a_pipeline_is_named_by_what_differs() -> None:
    row = pd.Series(
        {"intermediate": "mi_alpha", "intermediate.alpha": 0.9, "mapping": "none", "prediction": np.nan,
         "augmentation": "random+mixup", "augmentation.random": 1.0, "augmentation.strength": 0.1, "team": "single",
         "weights.hard_label": 0.5, "teacher": "good"}
    )  # fmt: skip
    words = findings.pipeline_in_words(row, [str(name) for name in row.index])
    first, second = "mi_alpha (alpha 0.9), no mapping, prediction not stated", "random+mixup (strength 0.1), single"
    assert words == f"{first}, {second}, weights.hard_label 0.5"
    assert findings.pipeline_in_words(row, []) == "mi_alpha, no mapping, prediction not stated, random+mixup"


def test_what_follows_from_augmentation_is_not_named() -> None:
    weighted = [{**row, "weights.hard_label": float(row["augmentation"] == "none")} for row in rows()]
    assert "weights.hard_label" not in findings.varying_knobs(frame_of(weighted))
    drawn = [{**row, "weights.hard_label": float(place % 2)} for place, row in enumerate(rows())]
    assert "weights.hard_label" in findings.varying_knobs(frame_of(drawn))
