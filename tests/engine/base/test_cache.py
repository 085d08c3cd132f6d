"""What is kept is found again by the same maker from the same things, and by no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.base import cache


@pytest.fixture(autouse=True)
def _afresh() -> None:
    cache.maker.cache_clear()


def test_the_same_things_lie_in_the_same_place(tmp_path: Path) -> None:
    assert cache.kept(tmp_path, "teachers", "sst2", 0) == cache.kept(tmp_path, "teachers", "sst2", 0)
    places = {cache.kept(tmp_path, *of) for of in (("a", 1), ("b", 1), ("a", 2), ("a", 1, 1), ("a",))}
    assert len(places) == 5


@pytest.mark.parametrize("library", cache.LIBRARIES)
def test_another_version_of_a_library_keeps_elsewhere(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cache.kept(tmp_path, "teachers", "sst2")
    cache.maker.cache_clear()
    known = cache.version
    monkeypatch.setattr(cache, "version", lambda name: "0.0" if name == library else known(name))
    assert cache.kept(tmp_path, "teachers", "sst2") != before


def test_another_layout_keeps_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache.kept(tmp_path, "teachers", "sst2")
    cache.maker.cache_clear()
    monkeypatch.setattr(cache, "LAYOUT", cache.LAYOUT + 1)
    assert cache.kept(tmp_path, "teachers", "sst2") != before


def test_other_code_keeps_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    file = tmp_path / "inner" / "code.py"
    file.write_text("a = 1")
    before = cache.maker(tmp_path)
    assert before == cache.maker(tmp_path)
    cache.maker.cache_clear()
    file.write_text("a = 2")
    assert cache.maker(tmp_path) != before


def test_the_code_is_that_of_the_engine() -> None:
    assert (cache.CODE / "training" / "loop.py").is_file()
