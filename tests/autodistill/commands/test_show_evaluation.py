"""What a person sees of an evaluation."""

from __future__ import annotations

import json

from autodistill.api import AutoDistiller
from autodistill.commands.show_evaluation import MEASURES, evaluation
from autodistill.commands.units import MISSING
from autodistill.evaluation.report import Evaluation

DATASET = "reviews@4cb19aac"


def an_evaluation() -> Evaluation:
    """Every measure of three predictors and datasets, and every difference."""
    measures = {name: 0.123 for subject in MEASURES.values() for name in subject}
    names = (DATASET, "financial_phrasebank", "nyu-mll/glue/mrpc")
    return Evaluation(
        meta_data="published and store",
        runs=504,
        predictor="mixed",
        mean_spearman=0.742,
        interval=(0.695, 0.788),
        pair="TinyBERT_4 ← BERT_BASE",
        mean_within_pair_spearman=0.14,
        datasets=dict.fromkeys(names, measures),
        predictors=dict.fromkeys(("mixed", "mean_rank", "greedy_portfolio"), measures),
        differences=dict.fromkeys(("mean_rank", "greedy_portfolio"), dict.fromkeys(measures, (-0.021, -0.064, 0.0))),
        noise_ceiling=0.886,
        noise_ceilings=dict.fromkeys(names, 0.89),
        interval_coverage=0.82,
        interval_coverages=dict.fromkeys(names, 1.0),
        features={name: ["context_embedding", "task_embedding"] for name in names},
        notes=[],
    )


def test_an_evaluation_shows_every_predictor_and_dataset() -> None:
    distiller = AutoDistiller(meta_data="published", predictor="mean_rank")
    found = distiller.evaluate(compared=["random"])
    shown = evaluation(found, "more to know")
    subjects = [title.split(": ")[-1] for *_, title in shown.tables]
    assert subjects == [*MEASURES, *list(MEASURES)[:3], *MEASURES, "what else is known"]
    means, regrets, _, _, against, _, _, by_dataset, *_, known = shown.tables
    assert [row[0] for row in means[1]] == [*found.predictors]
    assert {"mean_rank", "random"} <= found.predictors.keys()
    assert [row[0] for row in against[1]] == ["random"]
    assert [row[0] for row in by_dataset[1]] == [row[0] for row in known[1]] == [*found.datasets]
    assert all(len(row) == len(head) for head, rows, _ in shown.tables for row in rows)
    assert means[1][0][1] == f"{found.predictors['mean_rank']['spearman']:.3f}"
    assert regrets[1][0][2] == f"{found.predictors['mean_rank']['regret_at_5']:.3f}"
    assert by_dataset[2] == "mean_rank, each dataset held out: rank correlation; more is better"
    assert f"mean_rank on {found.runs} runs of {len(found.datasets)} datasets (published)" in shown.lines[0]
    assert shown.lines[-1] == "more to know"
    assert shown.record == json.loads(found.model_dump_json())


def test_it_says_on_how_many_datasets_the_picks_are_near_the_best() -> None:
    near, far = dict.fromkeys(("lost_of_5_picks", "within_pair_lost_at_1"), 0.005), {"lost_of_5_picks": 0.0051}
    found = an_evaluation().model_copy(update={"datasets": {"a": near, "b": far, "c": {}}})
    said = [line for line in evaluation(found).lines if line.startswith("beside")]
    assert said == [
        "beside the best configuration, the best of five picks loses 0.5% at most on 1 of 2 datasets",
        f"beside the best configuration within {found.pair}, the first pick loses 1% at most on 1 of 1 dataset",
    ]


def test_what_the_runs_cannot_tell_is_a_dash() -> None:
    found = Evaluation(
        meta_data="mine",
        runs=10,
        predictor="random",
        mean_spearman=None,
        interval=None,
        pair="a ← b",
        mean_within_pair_spearman=None,
        datasets={"films": {}},
        predictors={"random": {}},
        differences={},
        noise_ceiling=None,
        noise_ceilings={},
        interval_coverage=None,
        interval_coverages={},
        features={},
        notes=["a note"],
    )
    shown = evaluation(found)
    *measured, (_, (dataset,), _) = shown.tables
    assert {cell for _, (row,), _ in measured for cell in row[1:]} == {MISSING}
    assert dataset[1:] == [MISSING, MISSING, "none"]
    assert len(shown.lines) == 2
    assert f"mean Spearman {MISSING}; within a ← b {MISSING}" in shown.lines[0]
    assert shown.lines[1] == "a note"
