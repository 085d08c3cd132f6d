"""What is kept is found again by the same maker from the same things, and by no other."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.base import cache
from engine.base.errors import InputError
from tests.ear import Ear


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


# --- damage ------------------------------------------------------------------------------------------


def kept_here(root: Path) -> Path:
    folder = cache.kept(root, "teachers", "sst2")
    with cache.keeping(folder) as aside:
        (aside / "weights").write_bytes(bytes(1000))
        (aside / "inner").mkdir()
        (aside / "inner" / "empty").touch()
    return folder


def test_what_is_whole_is_intact(tmp_path: Path) -> None:
    ear = Ear()
    assert not cache.intact(cache.kept(tmp_path, "teachers", "sst2"), ear)
    assert cache.intact(kept_here(tmp_path), ear)
    assert ear.messages == []


def _as_a_file(folder: Path) -> None:
    cache.remove(folder)
    folder.write_text("no folder")


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "a flipped bit": lambda folder: (folder / "weights").write_bytes(bytes(500) + b"\x01" + bytes(499)),
    "cut": lambda folder: (folder / "weights").write_bytes(bytes(999)),
    "empty": lambda folder: (folder / "weights").write_bytes(b""),
    "no longer empty": lambda folder: (folder / "inner" / "empty").write_bytes(b"a"),
    "a file is gone": lambda folder: (folder / "weights").unlink(),
    "a file more": lambda folder: (folder / "pytorch_model.bin").write_bytes(b"a"),
    "another name": lambda folder: (folder / "weights").rename(folder / "wights"),
    "no checksums": lambda folder: (folder / cache.SUMS).unlink(),
    "empty checksums": lambda folder: (folder / cache.SUMS).write_bytes(b""),
    "checksums of no text": lambda folder: (folder / cache.SUMS).write_bytes(b"\xff\xff"),
    "a folder of checksums": lambda folder: [(folder / cache.SUMS).unlink(), (folder / cache.SUMS).mkdir()],
    "a file in its place": _as_a_file,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_was_damaged_is_removed_and_said(damage: str, tmp_path: Path) -> None:
    ear, folder = Ear(), kept_here(tmp_path)
    DAMAGE[damage](folder)
    assert not cache.intact(folder, ear)
    assert ear.messages == ["The kept teacher was damaged and is made anew."]
    assert not folder.exists()
    assert not cache.intact(folder, ear)
    assert len(ear.messages) == 1
    assert cache.intact(kept_here(tmp_path), ear)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EMFILE, errno.ESTALE])
def test_what_cannot_be_read_now_is_not_removed(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network disk that is away for a moment costs no teacher of hours."""
    folder = kept_here(tmp_path)
    with monkeypatch.context() as patched, pytest.raises(OSError, match=os.strerror(number)):
        patched.setattr(Path, "open", raising(OSError(number, os.strerror(number))))
        cache.intact(folder, Ear())
    assert cache.intact(folder, Ear())


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_what_a_system_leaves_behind_is_no_damage(tmp_path: Path) -> None:
    folder = kept_here(tmp_path)
    for name in (".DS_Store", "inner/.nfs0001", "._weights"):
        (folder / name).write_bytes(b"a")
    assert cache.intact(folder, Ear())


def test_what_another_process_has_kept_meanwhile_stays(tmp_path: Path) -> None:
    folder = kept_here(tmp_path)
    before = folder.stat().st_ino, (folder / "weights").stat().st_ino
    with cache.keeping(folder) as aside:
        (aside / "weights").write_bytes(b"others")
    assert (folder.stat().st_ino, (folder / "weights").stat().st_ino) == before
    assert [path.name for path in folder.parent.glob("*.part")] == []


def test_what_was_damaged_is_made_anew_in_its_place(tmp_path: Path) -> None:
    folder = kept_here(tmp_path)
    (folder / "weights").write_bytes(b"damaged")
    assert cache.intact(kept_here(tmp_path), Ear())


def test_what_another_process_has_made_anew_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ear, folder, found = Ear(), kept_here(tmp_path), iter([False, True])  # damaged; but not under the lock
    monkeypatch.setattr(cache, "_is_whole", lambda folder: next(found))
    assert cache.intact(folder, ear)
    assert (folder / "weights").exists()
    assert ear.messages == []


def test_every_kind_has_a_word(tmp_path: Path) -> None:
    ear = Ear()
    for kind in cache.KINDS:
        cache.say_damaged(tmp_path / kind / "key", ear)
    assert len({*ear.messages}) == len(cache.KINDS)
    assert "The kept signals were damaged and are made anew." in ear.messages


# --- whose it is -------------------------------------------------------------------------------------


def test_a_cache_is_made_for_its_user_alone(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        cache.kept(tmp_path / "deep" / "cache", "teachers")
    finally:
        os.umask(before)
    for folder in (tmp_path / "deep" / "cache", tmp_path / "deep" / "cache" / "teachers"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_in_the_cache_that_others_may_write_into_is_refused(tmp_path: Path) -> None:
    (tmp_path / "teachers").mkdir()
    (tmp_path / "teachers").chmod(0o777)
    cache.kept(tmp_path, "signals")
    with pytest.raises(InputError, match=f"other users may write into this folder.*go-w {tmp_path}/teachers"):
        cache.kept(tmp_path, "teachers")


@pytest.mark.parametrize("mode, fine", [(0o700, True), (0o755, True), (0o775, False), (0o757, False), (0o1777, False)])
def test_a_cache_that_others_may_write_to_is_refused(mode: int, fine: bool, tmp_path: Path) -> None:
    root = tmp_path / "cache"
    root.mkdir()
    root.chmod(mode)
    if fine:
        cache.kept(root, "teachers")
        return
    with pytest.raises(InputError, match=r"--cache-dir: other users may write into this folder; .*chmod -R go-w"):
        cache.kept(root, "teachers")


def test_a_cache_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(user: int) -> None:
        monkeypatch.setattr(Path, "stat", lambda path, **_: SimpleNamespace(st_uid=user, st_mode=0o40755))
        cache.kept(tmp_path, "teachers")

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    of(1000)
    of(0)  # who may do everything anyway
    with pytest.raises(InputError, match="--cache-dir: this folder belongs to another user"):
        of(1001)
