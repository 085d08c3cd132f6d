"""Records that the tests of several commands show and read."""

from __future__ import annotations

from typing import Any

from autodistill.recommend.record import Pick, Recommendation, StudentFacts
from engine.pipeline.read import load_pipeline


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


def a_pick(rank: int = 1, **more: Any) -> Pick:
    usual: dict[str, Any] = {
        "rank": rank,
        "student": "layers:6",
        "pipeline": load_pipeline("tinybert", ["prediction.kind=ce"]).model_dump(),
        "key": str(rank),
        "standing": 1.0,
        "percentile": 0.994,
        "ratio": 0.98765,
        "ratio_low": 0.9,
        "ratio_high": 1.01,
        "seconds": 1250.0,
        "contributions": {},
        "unseen": [],
    }
    return Pick(**(usual | more))
