"""What comparable runs are called."""

from __future__ import annotations

from autodistill.report.names import printable, readable
from tests.autodistill.report.study import frame_of, rows


def named(*cells: tuple[str, str, str, int]) -> list[str]:
    """What runs are comparable with that have such a dataset, metric, held-out set and size."""
    columns = ("dataset", "metric", "held_out", "n_train")
    runs = [{**rows()[0], **dict(zip(columns, each, strict=True))} for each in cells]
    return frame_of(runs)["among"].tolist()


SHA, OTHER = "0123456789abcdef", "fedcba9876543210"


def test_names_say_what_tells_comparable_runs_apart() -> None:
    assert named(("a", "f1", "test", 10), ("b", "f1", "test", 10)) == ["a", "b"]
    assert named(("a", "f1", "test", 10), ("a", "accuracy", "test", 10)) == ["a, f1", "a, accuracy"]
    assert named(("a@12ab", "f1", f"test of {SHA}", 100), ("a@12ab", "f1", f"test of {OTHER}", 300)) == [
        "a, test, 100 rows",
        "a, test, 300 rows",
    ]


def test_what_would_be_alike_without_its_fingerprint_keeps_as_much_of_it_as_is_needed() -> None:
    assert named(("a@12ab", "f1", "test", 10), ("a@34cd", "f1", "test", 10)) == ["a@12ab", "a@34cd"]
    both = named(("a", "f1", f"test of {SHA}", 100), ("a", "f1", f"test of {OTHER}", 100))
    assert both == ["a, test, 100 rows (0123)", "a, test, 100 rows (fedc)"]
    like = SHA[:4] + OTHER[4:]
    three = named(*(("a", "f1", f"test of {each}", 100) for each in (SHA, like, OTHER)), ("a", "f1", "test", 5))
    assert three == [f"a, test of {SHA}", f"a, test of {like}", "a, test, 100 rows (fedc)", "a, test"]


def test_a_name_that_no_page_can_hold_is_changed() -> None:
    assert printable("a\x1b[31m\x00\ud800b") == "a�[31m��b"
    runs = readable(frame_of([{**rows()[0], "student": "a\x0bb"}]))
    assert runs.student.tolist() == ["a�b"]
