"""Records that the tests of several commands show and read."""

from __future__ import annotations

from autodistill.recommend.record import Recommendation, StudentFacts


def a_recommendation() -> Recommendation:
    student = StudentFacts(name="layers:1", parameters=1, size_mb=1.0, latency_ms=1.0, throughput=1.0)
    return Recommendation(
        data="films.csv",
        columns={"label": "stars"},
        task="films",
        task_kind="classification",
        metric="accuracy",
        dataset_fingerprint="0",
        train_examples=1,
        teacher="big",
        teacher_score=1.0,
        teacher_parameters=1,
        teacher_size_mb=1.0,
        bilstm_score=None,
        members=[],
        students=[student],
        predictor="ridge",
        features=[],
        meta_data=[],
        past_runs=1,
        past_datasets=[],
        agreement=0.0,
        mean_rank_agreement=0.0,
        candidates=1,
        picks=[],
        pareto=[],
        nearest={},
        warnings=[],
    )
