"""What lies in the cache: found by its name, removed by its age, and left where it is used or not ours."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from engine.base.cache import keeping, kept
from engine.base.cache_entries import Entry, entries, removed, unneeded
from engine.base.packaged import MODELS, NAME

HOUR = 3600.0


def put(root: Path, kind: str, name: str, size: int = 100, ago: float = 0.0) -> Path:
    """Keeps something of so many bytes that was asked for so many seconds ago."""
    folder = kept(root, kind, name, about=f"films, {name}")
    with keeping(folder) as aside:
        (aside / "file").write_bytes(b"x" * size)
    then = time.time() - ago
    for path in (folder, folder.with_name(f".{folder.name}.about")):
        os.utime(path, (then, then))
    return folder


def test_what_is_kept_is_there_with_what_it_is_of_and_when_it_was_used(tmp_path: Path) -> None:
    put(tmp_path, "teachers", "bert", ago=5 * HOUR)
    put(tmp_path, "fits", "ridge", size=1000, ago=9 * HOUR)
    one, two = entries(tmp_path)
    assert [(each.kind, each.about) for each in (one, two)] == [("fits", "films, ridge"), ("teachers", "films, bert")]
    assert one.bytes >= 1000
    assert time.time() - two.used == pytest.approx(5 * HOUR, abs=60)
    kept(tmp_path, "fits", "ridge", about="films, ridge")
    assert [each.kind for each in entries(tmp_path)] == ["teachers", "fits"], "it was used just now"


def test_what_we_did_not_make_is_neither_seen_nor_removed(tmp_path: Path) -> None:
    folder = put(tmp_path, "teachers", "bert")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    others = [
        tmp_path / "mine",
        tmp_path / "teachers" / "mine",
        tmp_path / MODELS / "mine",
        folder.parent / "notes.txt",
    ]
    for path in others[:3]:
        path.mkdir(parents=True)
    others[3].touch()
    (folder.parent / ("0" * 16)).symlink_to(outside)
    (tmp_path / MODELS / NAME).mkdir()
    found = entries(tmp_path)
    assert sorted(each.kind for each in found) == [MODELS, "teachers"]
    gone, stay = removed(found)
    assert (len(gone), stay) == (2, [])
    assert all(path.exists() for path in (*others, outside / "file"))
    assert not folder.exists()
    assert not (tmp_path / MODELS / NAME).exists()
    assert entries(tmp_path / "nowhere") == []


def test_work_that_was_left_goes_with_it(tmp_path: Path) -> None:
    folder = put(tmp_path, "teachers", "bert")
    work = folder.with_name(f"{folder.name}.work")
    work.mkdir()
    (work / "checkpoint.pt").write_bytes(b"x" * 5000)
    (found,) = entries(tmp_path)
    assert found.bytes >= 5100
    removed([found])
    assert not work.exists()
    assert not [path for path in folder.parent.iterdir() if path.suffix != ".lock"]


def test_what_is_removed_by_age_and_by_size() -> None:
    found = [Entry("fits", (Path(str(hours)),), "", 100, 1000.0 - hours) for hours in (1, 5, 3)]

    def used(**asked: float) -> list[float]:
        return [1000.0 - each.used for each in unneeded(found, **asked)]

    assert used(before=998.0) == [5, 3]
    assert used(most=250) == [5]
    assert used(most=99) == [5, 3, 1]
    assert used(before=996.0, most=150) == [5, 3]
    assert used(most=300) == []


@pytest.mark.parametrize("lock", ["{}.lock", ".{}.lock"])
def test_what_another_process_is_making_stays(tmp_path: Path, lock: str) -> None:
    folder = put(tmp_path, "teachers", "bert")
    with FileLock(folder.with_name(lock.format(folder.name))):
        assert [each.kind for each in removed(entries(tmp_path))[1]] == ["teachers"]
    assert folder.is_dir()
    assert len(removed(entries(tmp_path))[0]) == 1


MAPPED = "import mmap; f = open(name, 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); f.close()"


@pytest.mark.parametrize("how", ["f = open(name)", MAPPED])
def test_what_another_process_reads_stays(tmp_path: Path, how: str) -> None:
    folder, other = put(tmp_path, "signals", "bert"), put(tmp_path, "signals", "other")
    code = f"name = {str(folder / 'file')!r}; {how}; print('open', flush=True); input()"
    reader = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "open\n"
    gone, stay = removed(entries(tmp_path))
    reader.communicate("\n", timeout=60)
    assert [each.about for each in stay] == ["films, bert"]
    assert [each.about for each in gone] == ["films, other"]
    assert folder.is_dir()
    assert not other.exists()
