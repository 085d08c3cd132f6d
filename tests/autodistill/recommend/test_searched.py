"""What a notebook shows of a search, and of what became of a pick."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from autodistill.recommend.contenders import Contender
from autodistill.recommend.race import Outcome
from autodistill.recommend.record import Pick
from autodistill.recommend.search_record import Known, SearchRecord, Trained
from autodistill.recommend.searched import Searched
from engine.pipeline import Pipeline
from tests.records import made_prior, made_record

RESULT = made_record(metric="accuracy", scores={"student": {"test": {"accuracy": 0.75}}}, split="test")


def searched() -> Searched:
    made = Pipeline.model_validate({"training": {"epochs": 8}, "prediction": {"kind": "mse"}}).model_dump(mode="json")
    steps = [
        Trained(candidate=name, epochs=epochs, score=score, seconds=1.0, over=False, choice="a")
        for name, epochs, score in (("a", 8, 0.75), ("b", 1, None))
    ]
    record = SearchRecord(
        identity="0" * 16,
        task="films",
        metric="accuracy",
        teacher="t",
        error=0.01,
        prior=made_prior(),
        prepared=1.0,
        candidates={name: Known(seconds=1.0, expected=0.0, latency_ms=1.0) for name in "abc"},
        steps=steps,
        ended="the <time> is over",
    )
    tried = [(Contender("s", made, name), [step]) for name, step in zip("ab", steps, strict=True)]
    return Searched(record, tried, RESULT, Path("runs/a"), [(tried[0][0], RESULT)])


def test_a_search_is_a_table_and_a_frame() -> None:
    found = searched()
    frame = found.to_frame()
    assert frame[["student", "score", "epochs", "of_epochs"]].iloc[0].tolist() == ["s", 0.75, 8, 8]
    page = found._repr_html_()
    assert "<strong>2 of 3 pipelines tried, the best first</strong>" in page
    assert "<td>s</td><td>mse</td><td>0.7500</td><td>8 of 8</td>" in page
    assert "<td>–</td><td>1 of 8</td>" in page
    assert "the &lt;time&gt; is over" in page
    assert page.endswith(RESULT._repr_html_())


def test_in_a_list_they_are_short() -> None:
    outcome = Outcome(cast(Pick, None), RESULT, Path("runs/a"))
    assert repr(outcome) == f"Outcome(folder={Path('runs/a')!r})"
    assert repr(searched()) == f"Searched(folder={Path('runs/a')!r})"
    assert outcome._repr_html_() == RESULT._repr_html_()
