"""Teacher signals on disk: what is written is what is read, once, within the budget."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import DiskError
from engine.models.forward import Features, TeacherNeeds
from engine.signals.store import LARGEST, PASS_BATCH, SignalPass, SignalReader, SignalStore, make_room, touch

PARTS = ("query", "key", "value")


def store_in(folder: Path, lengths: list[int] | range, per_token: bool = False) -> SignalStore:
    return SignalStore(folder, np.array(lengths), outputs=3, per_token=per_token, width=4)


def teacher_says(store: SignalStore, ids: np.ndarray, needs: TeacherNeeds) -> Features:
    """Numbers that say where they belong: example, token, layer, column."""
    length = int(store.lengths[ids].max())
    example = torch.from_numpy(ids).float()[:, None, None]
    token = torch.arange(length).float()[None, :, None]
    width = 1 if needs.tokens == "first" else length
    hidden = {layer: (example + token / 16 + layer / 128 + torch.arange(4) / 1024)[:, :width] for layer in needs.layers}
    logits = (example + token / 16 if store.per_token else example[:, 0]) + torch.arange(3) / 1e6
    mask = torch.arange(length) < torch.from_numpy(store.lengths[ids])[:, None]
    attention = {
        (name, layer): (example + token / 16 + layer / 128 + PARTS.index(name) / 512 + torch.arange(4) / 1024)
        for name, layer in needs.attention
    }
    return Features(logits, hidden, mask, attention=attention)


def fill(store: SignalStore, needs: TeacherNeeds, processes: int = 1, stop_after: int | None = None) -> int:
    """A pass as `engine.signals.signals.fill` makes one; gives the examples that passed the teacher."""
    store.settle()
    if not store.missing(needs):
        return 0
    signal_pass = SignalPass(store, store.missing(needs))
    signal_pass.begin()
    passed = 0
    for rank in range(processes):
        for ids, number in signal_pass.todo(rank, processes):
            if stop_after is not None and passed >= stop_after:
                return passed
            signal_pass.write(ids, number, teacher_says(store, ids, needs))
            passed += len(ids)
        signal_pass.flush()
    store.settle()
    return passed


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=80),
    per_token=st.booleans(),
    tokens=st.sampled_from(["all", "first"]),
    processes=st.integers(1, 3),
    data=st.data(),
)
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read(
    lengths: list[int], per_token: bool, tokens: str, processes: int, data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        attention = (("query", 2), ("key", 2), ("key", 11), ("value", 3))
        store, needs = store_in(Path(folder) / "a", lengths, per_token), TeacherNeeds((2, 11), tokens, attention)
        assert fill(store, needs, processes) == len(lengths)
        check_reading(store, needs, data)


def check_reading(store: SignalStore, needs: TeacherNeeds, data: st.DataObject) -> None:
    lengths = store.lengths
    ids = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=8)))
    length = int(store.lengths[ids].max()) + data.draw(st.integers(0, 3))
    read, said = SignalReader(store, needs).read(ids, length), teacher_says(store, ids, needs)
    known = said.mask.shape[1]
    assert torch.equal(read.mask[:, :known], said.mask)
    assert not read.mask[:, known:].any()
    assert read.logits.dtype == torch.float32
    if store.per_token:
        assert torch.equal(read.logits[:, :known], said.logits * said.mask[..., None])
        assert not read.logits[:, known:].any()
    else:
        assert torch.equal(read.logits, said.logits)
    for layer in needs.layers:
        if needs.tokens == "first":
            assert read.hidden[layer].shape == (len(ids), 1, 4)
            torch.testing.assert_close(read.hidden[layer].float(), said.hidden[layer], rtol=1e-3, atol=1e-3)
        else:
            expected = said.hidden[layer] * said.mask[..., None]
            torch.testing.assert_close(read.hidden[layer][:, :known].float(), expected, rtol=1e-3, atol=1e-3)
    assert [*read.attention] == [*needs.attention]
    for part, vectors in read.attention.items():
        expected = said.attention[part] * said.mask[..., None]
        torch.testing.assert_close(vectors[:, :known].float(), expected, rtol=1e-3, atol=1e-3)
        assert not vectors[:, known:].any()


def test_only_what_is_needed_is_on_disk_in_as_many_bytes_as_said(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a", range(1, 11))
    needs = TeacherNeeds((2, 11), "all")
    assert store.missing(TeacherNeeds((0,), "all", (("query", 2), ("key", 11)))) == [
        *("logits", "hidden-00-all", "query-02-all", "key-11-all")
    ]
    assert store.missing(needs) == ["logits", "hidden-02-all", "hidden-11-all"]
    assert store.bytes(store.missing(needs)) == 10 * 3 * 4 + 2 * 55 * 4 * 2
    fill(store, needs)
    assert {name: len(data) for name, data in contents(tmp_path / "a").items() if ".checksum" not in name} == {
        "logits": 120,
        "hidden-02-all": 440,
        "hidden-11-all": 440,
    }
    assert store.missing(needs) == []
    assert store_in(tmp_path / "b", range(1, 11), per_token=True).bytes(["logits"]) == 55 * 3 * 4


def test_needs_share_arrays(tmp_path: Path) -> None:
    store = store_in(tmp_path / "a", range(1, 41))
    assert fill(store, TeacherNeeds((2,), "all")) == 40
    before = contents(tmp_path / "a")
    assert store.missing(TeacherNeeds((), "first")) == []
    assert store.missing(TeacherNeeds((2,), "first")) == []  # the first tokens are among all
    assert store.missing(TeacherNeeds((2, 4), "all")) == ["hidden-04-all"]
    assert store.missing(TeacherNeeds((2, 4), "first")) == ["hidden-04-first"]
    fill(store, TeacherNeeds((2, 4), "first"))
    assert before.items() < contents(tmp_path / "a").items()
    ids, needs = np.array([5, 0, 39]), TeacherNeeds((2, 4), "first")
    read, said = SignalReader(store, needs).read(ids, 40), teacher_says(store, ids, needs)
    for layer in (2, 4):
        torch.testing.assert_close(read.hidden[layer].float(), said.hidden[layer], rtol=1e-3, atol=1e-3)
    assert store.missing(TeacherNeeds((4,), "all")) == ["hidden-04-all"]  # all are not among the first


@pytest.mark.parametrize("stop_after", [0, PASS_BATCH, 3 * PASS_BATCH])
@pytest.mark.parametrize("first, second", [(1, 1), (2, 1), (1, 3)])
def test_a_pass_that_was_cut_off_is_finished(tmp_path: Path, stop_after: int, first: int, second: int) -> None:
    lengths, needs = [1 + number % 7 for number in range(5 * PASS_BATCH + 3)], TeacherNeeds((1,), "all")
    whole, cut = store_in(tmp_path / "whole", lengths), store_in(tmp_path / "cut", lengths)
    fill(whole, needs)
    passed = fill(cut, needs, first, stop_after)
    assert cut.missing(needs) == ["logits", "hidden-01-all"]
    assert SignalPass(cut, cut.missing(needs)).examples_done == passed
    assert passed + fill(cut, needs, second) == len(lengths)
    assert contents(cut.folder) == contents(whole.folder)


def test_processes_that_start_at_different_times_leave_no_gap(tmp_path: Path) -> None:
    store, needs = store_in(tmp_path / "a", [3] * (6 * PASS_BATCH)), TeacherNeeds((1,), "all")
    signal_pass = SignalPass(store, store.missing(needs))
    signal_pass.begin()
    shares = [[number for _, number in signal_pass.todo(rank, 2)] for rank in (0, 1)]
    assert sorted(shares[0] + shares[1]) == [*range(6)]
    slow = signal_pass.todo(1, 2)
    for ids, number in signal_pass.todo(0, 2):
        signal_pass.write(ids, number, teacher_says(store, ids, needs))
    for ids, number in slow:  # looks at what is done only now
        signal_pass.write(ids, number, teacher_says(store, ids, needs))
    assert signal_pass.examples_done == len(store.lengths)


def test_a_pass_that_was_cut_off_while_it_was_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = TeacherNeeds((1, 2), "all")
    whole, cut = store_in(tmp_path / "whole", range(1, 70)), store_in(tmp_path / "cut", range(1, 70))
    fill(whole, needs)
    moved = []

    def replace(path: Path, target: Path) -> None:
        if moved:
            raise KeyboardInterrupt
        moved.append(path.name)
        os.replace(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        fill(cut, needs)
    monkeypatch.undo()
    assert fill(cut, needs) == 0
    assert contents(cut.folder) == contents(whole.folder)


def test_values_that_float16_does_not_hold_are_clamped(tmp_path: Path) -> None:
    store, needs = store_in(tmp_path / "a", [1, 1]), TeacherNeeds((1,), "all")
    signal_pass = SignalPass(store, store.missing(needs))
    signal_pass.begin()
    hidden = torch.tensor([1e6, -1e6, 65504.0, 1e-3]).expand(2, 1, 4)
    features = Features(torch.full((2, 3), 1e6), {1: hidden}, torch.ones(2, 1, dtype=torch.bool))
    for ids, number in signal_pass.todo(0, 1):
        signal_pass.write(ids, number, features)
    store.settle()
    read = SignalReader(store, needs).read(np.array([0]), 1)
    assert read.hidden[1][0, 0, :3].tolist() == [LARGEST, -LARGEST, LARGEST]
    assert read.logits[0].tolist() == [1e6] * 3


# --- damage ------------------------------------------------------------------------------------------

DAMAGE = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "a flipped bit": lambda content: bytes(b ^ (place == len(content) // 2) for place, b in enumerate(content)),
    "a list": lambda content: b"[1, 2]",
    "nested": lambda content: b"[" * len(content),
    "longer": lambda content: content + b"\x00",
}
NEEDS = TeacherNeeds((1,), "all")


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["logits", "hidden-01-all"])
def test_a_damaged_array_is_known_as_one(name: str, damage: str, tmp_path: Path) -> None:
    store = store_in(tmp_path, range(1, 50))
    fill(store, NEEDS)
    assert store.damaged(NEEDS) == []
    (tmp_path / name).write_bytes(DAMAGE[damage]((tmp_path / name).read_bytes()))
    assert store.damaged(NEEDS) == [name]


@pytest.mark.parametrize("damage", [*DAMAGE, "gone"])
def test_without_its_checksum_an_array_is_not_trusted(damage: str, tmp_path: Path) -> None:
    store, beside = store_in(tmp_path, range(1, 50)), tmp_path / "logits.checksum"
    fill(store, NEEDS)
    beside.unlink() if damage == "gone" else beside.write_bytes(DAMAGE[damage](beside.read_bytes()))
    assert store.damaged(NEEDS) == ["logits"]


def test_a_checksum_that_is_no_text_is_not_trusted(tmp_path: Path) -> None:
    store = store_in(tmp_path, range(1, 50))
    fill(store, NEEDS)
    (tmp_path / "logits.checksum").write_bytes(b"\xff\xfe")
    assert store.damaged(NEEDS) == ["logits"]


@pytest.mark.parametrize("moves", range(3, 9))
def test_no_array_stands_without_its_checksum(moves: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However far a process came in putting three arrays in place, whose checksums it had written."""
    store, needs, moved = store_in(tmp_path, range(1, 50)), TeacherNeeds((1, 2), "all"), []

    def replace(path: Path, target: Path) -> None:
        if len(moved) == moves:
            raise KeyboardInterrupt
        moved.append(os.replace(path, target))

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        fill(store, needs)
    assert store.damaged(needs) == []


def test_a_half_written_checksum_is_no_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path, range(1, 50))
    with monkeypatch.context() as patch:
        patch.setattr(SignalStore, "settle", lambda self: None)
        fill(store, NEEDS)
    (folder,) = tmp_path.glob("pass-*")
    (folder / "logits.checksum.part").write_bytes(b"ab")
    store.settle()
    assert store.missing(NEEDS) == store.damaged(NEEDS) == []


def test_a_pass_says_whether_what_it_goes_on_from_was_damaged(tmp_path: Path) -> None:
    store = store_in(tmp_path, [3] * (2 * PASS_BATCH))
    assert not SignalPass(store, ["logits"]).begin()
    first = SignalPass(store, ["logits"])
    for ids, number in first.todo(0, 1):
        first.write(ids, number, teacher_says(store, ids, TeacherNeeds((), "first")))
    first.flush()
    assert not SignalPass(store, ["logits"]).begin()
    (first.folder / "logits").write_bytes(bytes(store.bytes(["logits"])))
    assert SignalPass(store, ["logits"]).begin()


def test_arrays_are_read_and_not_written(tmp_path: Path) -> None:
    store = store_in(tmp_path, range(1, 5))
    fill(store, NEEDS)
    assert not store.open("logits").flags.writeable


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["logits", "hidden-01-all", "done"])
def test_what_is_damaged_in_a_pass_is_filled_again(
    name: str, damage: str, finished: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it was finished, but its process killed before it put the arrays in place."""
    lengths = [1 + number % 7 for number in range(5 * PASS_BATCH + 3)]
    whole, cut = store_in(tmp_path / "whole", lengths), store_in(tmp_path / "cut", lengths)
    fill(whole, NEEDS)
    with monkeypatch.context() as patch:
        patch.setattr(SignalStore, "settle", lambda self: None)
        fill(cut, NEEDS, stop_after=None if finished else 3 * PASS_BATCH)
    (file,) = cut.folder.glob(f"pass-*/{name}")
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    assert fill(cut, NEEDS) >= PASS_BATCH
    assert contents(cut.folder) == contents(whole.folder)


def test_a_pass_has_its_place_on_the_disk_before_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written to by way of memory, a full disk would end the process."""
    store, taken = store_in(tmp_path, range(1, 50)), []
    monkeypatch.setattr(os, "posix_fallocate", lambda *about: taken.append(about[1:]))
    SignalPass(store, ["logits"]).begin()
    assert taken == [(0, store.bytes(["logits"])), (0, 8)]


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, None])
def test_where_a_system_reserves_nothing_a_file_is_made_all_the_same(
    number: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, "not here") if number else AttributeError("posix_fallocate")

    monkeypatch.setattr(os, "posix_fallocate", refused)
    assert fill(store_in(tmp_path, range(1, 50)), NEEDS) == 49


def test_a_disk_without_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = store_in(tmp_path, range(1, 50))
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(DiskError, match=f"the disk of {tmp_path} is full: .* are free there, and .* are needed"):
            fill(store, NEEDS)
    assert fill(store, NEEDS) == 49


# --- the budget --------------------------------------------------------------------------------------


def stored(signals: Path, name: str, size: int, age: int) -> Path:
    (signals / name).mkdir(parents=True)
    (signals / name / "logits").write_bytes(bytes(size))
    os.utime(signals / name, (1_000_000 - age, 1_000_000 - age))
    return signals / name


def stores(signals: Path) -> set[str]:
    return {path.name for path in signals.iterdir() if path.is_dir()}


@pytest.mark.parametrize(
    "needed, budget, fits, left",
    [
        (100, 1000, True, "abc"),
        (400, 1000, True, "abc"),
        (401, 1000, True, "bc"),
        (601, 1000, True, "c"),
        (801, 1000, True, ""),
        (1000, 1000, True, ""),
        (1001, 1000, False, "abc"),
    ],
)
def test_the_signals_used_longest_ago_make_room(
    tmp_path: Path, needed: int, budget: int, fits: bool, left: str
) -> None:
    for name, age in (("b", 20), ("c", 10), ("a", 30)):
        stored(tmp_path, name, 200, age)
    assert make_room(tmp_path, tmp_path / "new", needed, budget) == fits
    assert "".join(sorted(stores(tmp_path))) == left


def test_the_store_that_grows_is_never_thrown_away(tmp_path: Path) -> None:
    for name, age in (("old", 30), ("keep", 20), ("new", 10)):
        stored(tmp_path, name, 200, age)
    assert not make_room(tmp_path, tmp_path / "keep", needed=401, budget=600)
    assert stores(tmp_path) == {"old", "keep", "new"}, "nothing goes in vain"
    assert make_room(tmp_path, tmp_path / "keep", needed=300, budget=600)
    assert stores(tmp_path) == {"keep"}
    assert not make_room(tmp_path, tmp_path / "keep", needed=401, budget=600)
    assert stores(tmp_path) == {"keep"}


def test_signals_that_are_being_made_stay(tmp_path: Path) -> None:
    for name, age in (("old", 30), ("new", 10)):
        stored(tmp_path, name, 200, age)
    with FileLock(tmp_path / "old.lock"):
        assert make_room(tmp_path, tmp_path / "mine", needed=300, budget=500)
        assert stores(tmp_path) == {"old"}
        assert not make_room(tmp_path, tmp_path / "mine", needed=301, budget=500)
        assert stores(tmp_path) == {"old"}
    assert make_room(tmp_path, tmp_path / "mine", needed=301, budget=500)
    assert stores(tmp_path) == set()
    (tmp_path / "old.lock").touch()
    assert make_room(tmp_path, tmp_path / "mine", needed=500, budget=500)
    assert not make_room(tmp_path, tmp_path / "mine", needed=501, budget=500)
    assert not [*tmp_path.glob("*.lock.lock")]


def test_signals_that_cannot_be_removed_stop_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    stored(tmp_path, "old", 200, 10)
    monkeypatch.setattr(os, "rmdir", refused)
    assert make_room(tmp_path, tmp_path / "mine", needed=400, budget=500)  # they are empty
    monkeypatch.setattr(os, "unlink", refused)
    stored(tmp_path, "older", 200, 20)
    assert not make_room(tmp_path, tmp_path / "mine", needed=400, budget=500)
    assert stores(tmp_path) == {"old", "older"}


def test_a_full_disk(tmp_path: Path) -> None:
    assert not make_room(tmp_path / "signals", tmp_path / "signals" / "new", needed=10**18, budget=10**19)


def test_use_renews(tmp_path: Path) -> None:
    touch(store_in(tmp_path / "not" / "there" / "yet", [1]))
    assert (tmp_path / "not" / "there" / "yet").is_dir()
    (tmp_path / "not" / "there" / "yet").rmdir()
    (tmp_path / "not" / "there").rmdir()
    (tmp_path / "not").rmdir()
    for name, age in (("a", 30), ("b", 20)):
        stored(tmp_path, name, 200, age)
    touch(store_in(tmp_path / "a", [1]))
    make_room(tmp_path, tmp_path / "new", needed=300, budget=500)
    assert stores(tmp_path) == {"a"}
