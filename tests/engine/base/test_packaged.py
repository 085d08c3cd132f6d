"""The encoder of the package index: only what was published is read, and none of the wheel's code."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from engine.base import packaged
from engine.base.errors import InputError
from engine.base.packaged import FILES, NAME, packaged_encoder


@pytest.fixture(name="wheel")
def _wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed wheel whose code must not run, with files that are known as the published ones."""
    site, package = tmp_path / "site", tmp_path / "site" / packaged.FOLDER
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("raise SystemExit('the code of the wheel was run')")
    about = site / f"{packaged.WHEEL.replace('-', '_')}-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {packaged.WHEEL}\nVersion: 0.1.0\n")
    for name in FILES:
        (package / name).write_text(f"content of {name}")
        monkeypatch.setitem(FILES, name, hashlib.sha256(f"content of {name}".encode()).hexdigest())
    (package / "modules.json").write_text("not asked for")
    monkeypatch.syspath_prepend(site)
    return package


def test_the_published_files_are_copied_and_nothing_else(wheel: Path, tmp_path: Path) -> None:
    folder = packaged_encoder(tmp_path / "cache")
    assert folder.name == NAME
    assert {path.name: path.read_text() for path in folder.iterdir()} == {name: f"content of {name}" for name in FILES}
    assert wheel.parent.name not in sys.modules


@pytest.mark.parametrize("name", FILES)
def test_another_file_is_refused(name: str, wheel: Path, tmp_path: Path) -> None:
    (wheel / name).write_text("something else")
    with pytest.raises(InputError, match=f"is not the published one; got {name}"):
        packaged_encoder(tmp_path / "cache")
    assert not (tmp_path / "cache" / "models" / NAME).exists()
    (wheel / name).unlink()
    with pytest.raises(InputError, match=f"is not the published one; got {name}"):
        packaged_encoder(tmp_path / "cache")


def test_a_damaged_copy_is_made_anew(wheel: Path, tmp_path: Path) -> None:
    folder = packaged_encoder(tmp_path / "cache")
    (folder / "config.json").write_text("damaged")
    packaged_encoder.cache_clear()
    assert (packaged_encoder(tmp_path / "cache") / "config.json").read_text() == "content of config.json"


def test_a_wheel_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "WHEEL", "no-such-wheel")
    with pytest.raises(InputError, match="the package no-such-wheel is not installed"):
        packaged_encoder(tmp_path)


def test_make_demo_installs_what_is_read() -> None:
    pinned = (Path(packaged.__file__).parents[2] / "demo-teacher.txt").read_text("utf-8")
    assert f"\n{packaged.WHEEL}==" in pinned
    assert pinned.count("--hash=sha256:") == 1
