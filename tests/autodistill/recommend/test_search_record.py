"""The record of a search: written whole, read as it was, refused where it is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from autodistill.recommend.record import in_words
from autodistill.recommend.search_record import Contender, Known, SearchRecord, Trained, found
from autodistill.recommend.space import pipelines
from engine.base.errors import InputError
from tests.toys import toy_task

RECORD = SearchRecord(
    identity="0123456789abcdef",
    task="films",
    metric="accuracy",
    teacher="big",
    prepared=12.5,
    candidates={"a": Known(seconds=30.0, expected=0.01, latency_ms=2.0)},
    steps=[Trained(candidate="a", epochs=2, score=0.8, error=None, seconds=3.25, over=False, choice="a")],
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


def test_a_contender_has_a_name_of_its_own() -> None:
    one, *_, other = (each.for_task(toy_task("single")) for each in pipelines("classification"))
    made = [Contender(student, each.model_dump(), each.key) for student in ("a", "b") for each in (one, other)]
    assert len({each.name for each in made}) == 4
    assert made[1].words == in_words(other.model_dump())
