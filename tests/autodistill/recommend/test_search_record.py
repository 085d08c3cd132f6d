"""The record of a search: written whole, read as it was, refused where it is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from autodistill.recommend.request import Effort
from autodistill.recommend.search_record import Known, SearchRecord, Trained, found
from autodistill.search.beliefs import Prior
from engine.base.errors import InputError

RECORD = SearchRecord(
    identity="0123456789abcdef",
    task="films",
    metric="accuracy",
    teacher="big",
    error=0.01,
    prior=Prior((-1.0, 0.0), (1.0, 1.0), 0.02, {"mapping": 0.1}, 1.0, 0.5, 0.1, (1.0, 1.0, 1.0)),
    prepared=12.5,
    candidates={"a": Known(seconds=30.0, expected=0.01, latency_ms=2.0)},
    steps=[Trained(candidate="a", epochs=2, score=0.8, seconds=3.25, over=False, choice="a")],
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert found(tmp_path, RECORD.identity) is None
    assert RECORD.write(tmp_path / "new" / "folder").name == "search-01234567.json"
    assert found(tmp_path / "new" / "folder", RECORD.identity) == RECORD


def test_the_time_is_that_before_and_of_all_pieces() -> None:
    assert RECORD.model_copy(update={"steps": RECORD.steps * 3}).spent == 12.5 + 3 * 3.25


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"layout": 1}', "\x00", '{"identity": "0123456789abcdef"}'])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    RECORD.write(tmp_path).write_text(text, "utf-8")
    with pytest.raises(InputError, match="not the record of this search"):
        found(tmp_path, RECORD.identity)


def test_a_changed_record_and_that_of_another_search_are_refused(tmp_path: Path) -> None:
    path = RECORD.write(tmp_path)
    with pytest.raises(InputError, match="another search"):
        found(tmp_path, "01234567" + "0" * 8)
    path.write_text(path.read_text("utf-8").replace("0.8", "0.9"), "utf-8")
    with pytest.raises(InputError, match="damaged, or changed by hand"):
        found(tmp_path, RECORD.identity)


def test_what_a_training_goes_on_from() -> None:
    more = [
        Trained(candidate="b", epochs=3, score=None, seconds=1.0, over=True, failed="NaN", choice="a"),
        Trained(candidate="a", epochs=4, score=0.9, seconds=1.0, over=True, choice="a"),
    ]
    record = RECORD.model_copy(update={"steps": [*RECORD.steps, *more]})
    assert (record.reached("a"), record.reached("b"), record.reached("c")) == (4, 0, 0)
    assert (record.failed, record.over) == ({"b"}, {"a"})
    assert record.model_copy(update={"closed": ["a"]}).reached("a") == 0


@pytest.mark.parametrize(
    ("before", "asked", "ended"),
    [
        (None, Effort(trials=3), False),
        (Effort(budget=60), Effort(budget=60), True),
        (Effort(budget=60), Effort(budget=50), True),
        (Effort(budget=60), Effort(budget=70), False),
        (Effort(budget=60), Effort(trials=5), False),
        (Effort(budget=60, trials=5), Effort(budget=60), False),
        (Effort(budget=60), Effort(budget=60, trials=5), True),
    ],
)
def test_whether_it_ended_with_as_much_effort(before: Effort | None, asked: Effort, ended: bool) -> None:
    assert RECORD.model_copy(update={"effort": before}).has_ended(asked) is ended
