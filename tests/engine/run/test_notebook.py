"""What a notebook shows of a run."""

from __future__ import annotations

from tests.records import made_record


def test_a_notebook_shows_it_and_a_frame_has_its_scores() -> None:
    own = {"validation": {"accuracy": 0.7}, "test": {"accuracy": 0.8}}
    scores = {"teacher": {"test": {"accuracy": 0.9}}, "student": own}
    intervals = {"student": {"test": {"accuracy": [0.75, 0.85]}}}
    record = made_record(scores=scores, intervals=intervals, split="test", verdict=["It is <b>good</b>."])
    frame = record.to_frame()
    assert frame.model.tolist() == ["teacher", "student", "student"]
    assert frame[frame.held_out == "test"].score.tolist() == [0.9, 0.8]
    assert frame.low.dropna().tolist() == [0.75]
    page = record._repr_html_()
    assert "<td>0.8000 (0.750 to 0.850)</td>" in page
    assert "<p>It is &lt;b&gt;good&lt;/b&gt;.</p>" in page
    failed = made_record(status="failed", reason="no", student_score=None)
    assert ": no</strong>" in failed._repr_html_()
    assert failed.to_frame().empty
