"""Teacher signals with a real teacher: cached equals online, and each example passes once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from engine.base.files import folder_bytes
from engine.base.machine import Machine, machine_for
from engine.base.options import RunOptions
from engine.models.forward import TeacherNeeds
from engine.signals.signals import CachedSignals, OnlineSignals, examples_to_pass, mend, signals_for
from engine.signals.store import PASS_BATCH, SignalPass, SignalStore
from engine.tokens.examples import encode
from tests.tokenizers import wordpiece
from tests.toys import ROWS, perturb, save_tiny, toy_task

KINDS = [name for name in ROWS if name != "pair"]
ROWS_TO_READ = 3 * PASS_BATCH + 5


class Scene:
    """A teacher, the examples it sees, and a count of those that pass it."""

    def __init__(self, name: str, machine: Machine, folder: Path):
        self.task = toy_task(name, rows=ROWS_TO_READ, held_out=1)
        self.machine, self.examples = machine, 0
        self.teacher = save_tiny(folder, self.task)
        perturb(self.teacher)
        overlap = 8 if self.task.kind == "question_answering" else None
        self.encoded = encode(self.task.train, self.task, wordpiece(), 32, overlap)
        self.teacher.register_forward_hook(self._count, with_kwargs=True)
        self.store = SignalStore(
            machine.options.cache / "signals" / "a", self.encoded.lengths, self.task.outputs, self.task.token_level, 16
        )

    def _count(self, _model, _args, inputs, _output) -> None:
        self.examples += len(inputs["input_ids"])

    def online(
        self, layers: tuple[int, ...] = (2, 4), tokens: str = "all", attention: tuple[tuple[str, int], ...] = ()
    ) -> OnlineSignals:
        needs = TeacherNeeds(layers, tokens, attention)
        return OnlineSignals(self.teacher, self.task.kind, self.encoded, needs, self.machine.accelerator)

    def signals(self, layers: tuple[int, ...] = (2, 4), tokens: str = "all", attention=()):
        return signals_for(self.online(layers, tokens, attention), self.store, self.machine)

    @property
    def names(self) -> set[str]:
        return {path.name for path in self.store.folder.glob("*") if path.suffix != ".checksum"}


@pytest.fixture
def scene(machine: Machine, tmp_path: Path) -> Callable[..., Scene]:
    def build(name: str = "single", **options: object) -> Scene:
        own = machine_for(machine.options.model_copy(update=options), machine.reporter) if options else machine
        return Scene(name, own, tmp_path / "teacher")

    return build


@pytest.mark.parametrize("tokens", ["all", "first"])
@pytest.mark.parametrize("name", KINDS)
def test_cached_equals_online(name: str, tokens: str, scene: Callable[..., Scene]) -> None:
    here = scene(name)
    cached, online = here.signals(tokens=tokens), here.online(tokens=tokens)
    assert (cached.source, online.source) == ("cached", "online")
    for ids in (np.array([0, 50, 3]), np.array([len(here.encoded) - 1]), np.arange(20)):
        read, said = cached.view(cached.fetch(ids)), online.view(online.fetch(ids))
        assert torch.equal(read.mask, said.mask)
        assert read.logits.shape == said.logits.shape
        real = said.mask[..., None] if here.task.token_level else 1
        torch.testing.assert_close(read.logits * real, said.logits * real, rtol=1e-4, atol=1e-5)
        assert [*read.hidden] == [*said.hidden] == [2, 4]
        for layer, states in read.hidden.items():
            assert states.shape == said.hidden[layer].shape
            assert states.dtype == torch.float16
            real = said.mask[..., None] if tokens == "all" else 1
            torch.testing.assert_close(
                states * real, said.hidden[layer] * real, rtol=2e-3, atol=2e-3, check_dtype=False
            )


@pytest.mark.parametrize("name", KINDS)
def test_attention_and_embeddings_are_cached_and_shared(name: str, scene: Callable[..., Scene]) -> None:
    """What two objectives read passes the teacher once: the second finds what the first has left."""
    here, n = scene(name), len(scene(name).encoded)
    parts = (("query", 2), ("key", 2), ("key", 4))
    needs = (0, 2), "all", parts
    cached, online = here.signals(*needs), here.online(*needs)
    assert {"hidden-00-all", "query-02-all", "key-04-all"} < here.names
    for ids in (np.array([0, 50, 3]), np.arange(20)):
        read, said = cached.view(cached.fetch(ids)), online.view(online.fetch(ids))
        assert [*read.attention] == [*said.attention] == [*parts]
        real = said.mask[..., None]
        for (part, vectors), states in zip(read.attention.items(), said.attention.values(), strict=True):
            assert vectors.dtype == torch.float16, part
            torch.testing.assert_close(vectors * real, states * real, rtol=2e-3, atol=2e-3, check_dtype=False)
        close = {"rtol": 2e-3, "atol": 2e-3, "check_dtype": False}
        torch.testing.assert_close(read.hidden[0] * real, said.hidden[0] * real, **close)
    assert examples_to_pass(here.store, here.online(*needs).needs) == 0
    assert examples_to_pass(here.store, here.online((), "all", parts[:2]).needs) == 0
    assert examples_to_pass(here.store, here.online((), "all", (("value", 4),)).needs) == n


def test_each_example_passes_once_for_all_pipelines(scene: Callable[..., Scene], ear) -> None:
    here = scene()
    n = len(here.encoded)
    assert examples_to_pass(here.store, here.online().needs) == n
    signals = here.signals()
    assert here.examples == n == ear.advanced["teacher signals"]
    for _ in range(5):  # epochs
        for begin in range(0, n, 16):
            signals.view(signals.fetch(np.arange(begin, min(begin + 16, n))))
    assert here.examples == n
    assert examples_to_pass(here.store, here.online((4,), "first").needs) == 0
    here.signals((4,), "first")
    here.signals((), "first")
    assert here.examples == n
    assert examples_to_pass(here.store, here.online((2, 3)).needs) == n
    here.signals((2, 3))
    assert here.examples == 2 * n
    assert here.names == {"logits", *(f"hidden-0{layer}-all" for layer in (2, 3, 4))}


def test_only_needed_layers_are_on_disk(scene: Callable[..., Scene]) -> None:
    here = scene("tagging")
    here.signals(())
    assert here.names == {"logits"}
    here.signals((3,), "first")
    assert here.names == {"logits", "hidden-03-first"}
    sizes = [(here.store.folder / name).stat().st_size for name in here.names]
    assert sum(sizes) == len(here.encoded) * 16 * 2 + int(here.encoded.lengths.sum()) * 3 * 4


def break_at_the_third_batch(passing: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Presses Ctrl-C in a pass when two batches are written."""
    write = SignalPass.write

    def pressed(self: SignalPass, ids: np.ndarray, number: int, features: object) -> None:
        if number == 2:
            raise KeyboardInterrupt
        write(self, ids, number, features)

    monkeypatch.setattr(SignalPass, "write", pressed)
    with pytest.raises(KeyboardInterrupt):
        passing()
    monkeypatch.undo()


def test_a_pass_that_breaks_is_finished_not_repeated(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, ear, tmp_path: Path
) -> None:
    here = scene("tagging")
    whole = Scene("tagging", here.machine, tmp_path / "again")
    whole.store = SignalStore(tmp_path / "whole", whole.store.lengths, 3, True, 16)
    whole.signals()
    break_at_the_third_batch(here.signals, monkeypatch)
    assert examples_to_pass(here.store, here.online().needs) == ROWS_TO_READ - 2 * PASS_BATCH
    here.examples = 0
    signals = here.signals()
    assert here.examples == ROWS_TO_READ - 2 * PASS_BATCH
    assert ear.stages[-1] == ("teacher signals", ROWS_TO_READ, 2 * PASS_BATCH, "examples")
    assert signals.source == "cached"
    names = {"logits", "hidden-02-all", "hidden-04-all"}
    assert here.names == names
    for name in names:
        assert (here.store.folder / name).read_bytes() == (whole.store.folder / name).read_bytes()


def test_what_is_flushed_is_told_as_a_checkpoint_is(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the time of a pass that is killed counts."""
    monkeypatch.setattr("engine.signals.signals.FLUSH_EVERY", 2)
    told: list[int] = []
    one = scene()
    one.machine = replace(one.machine, saved=lambda: told.append(one.examples))
    one.signals()
    assert told == [2 * PASS_BATCH, ROWS_TO_READ]


@pytest.mark.parametrize("before", range(9))
def test_a_pass_that_breaks_while_it_is_put_in_place_is_not_repeated(
    before: int, scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three arrays, each has its checksum written, which is moved before it is: nine moves."""
    here, replace, moved = scene("tagging"), Path.replace, []

    def breaking(path: Path, target: Path) -> None:
        if len(moved) == before:
            raise KeyboardInterrupt
        moved.append(replace(path, target))

    monkeypatch.setattr(Path, "replace", breaking)
    with pytest.raises(KeyboardInterrupt):
        here.signals()
    monkeypatch.undo()
    assert here.signals().source == "cached"
    assert here.examples == ROWS_TO_READ


def test_a_pass_that_breaks_is_finished_under_a_budget_that_just_fits(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = scene("tagging")
    size = room.store.bytes(["logits", "hidden-02-all", "hidden-04-all"])
    here = scene("tagging", cache_budget_gb=(size + 100) / 1e9)
    monkeypatch.setattr(SignalPass, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        here.signals()
    monkeypatch.undo()
    assert here.signals().source == "cached"


def test_without_a_budget_the_teacher_runs_along(scene: Callable[..., Scene], ear) -> None:
    here = scene(cache_budget_gb=0.0)
    signals = here.signals()
    assert signals.source == "online"
    assert here.examples == 0
    assert not here.names
    assert ear.messages[-1] == (
        "The teacher's signals need 0.0 GB, above the budget of 0 GB or the free disk: "
        "the teacher runs along with the student."
    )
    signals.view(signals.fetch(np.array([0, 1])))
    assert here.examples == 2


def test_what_is_there_counts_and_is_not_thrown_away_for_more_of_itself(scene: Callable[..., Scene]) -> None:
    here = scene("tagging")
    here.signals(())
    there, more = folder_bytes(here.store.folder), here.store.bytes(["hidden-02-all", "hidden-04-all"])
    options = here.machine.options.model_copy(update={"cache_budget_gb": (more + there / 2) / 1e9})
    here.machine = machine_for(options, here.machine.reporter)
    assert here.signals().source == "online"
    assert here.names == {"logits"}


def test_a_teacher_gets_what_it_takes(scene: Callable[..., Scene]) -> None:
    """DistilBERT knows no segments, which BERT's tokenizer gives."""
    here = scene()
    vocabulary = here.teacher.config.vocab_size
    sizes = {"dim": 16, "hidden_dim": 16, "n_layers": 2, "n_heads": 2, "vocab_size": vocabulary}
    here.teacher = DistilBertForSequenceClassification(DistilBertConfig(**sizes))
    online = here.online((1,))
    fetched = online.fetch(np.array([0, 1]))
    assert set(fetched) == {"input_ids", "attention_mask"}
    assert online.view(fetched).hidden[1].shape[::2] == (2, 16)


def test_a_damaged_pass_is_said_and_its_end_too(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, ear
) -> None:
    here = scene()
    break_at_the_third_batch(lambda: here.signals(()), monkeypatch)
    (array,) = here.store.folder.glob("pass-*/logits")
    array.write_bytes(bytes(array.stat().st_size))
    told = len(ear.messages)
    here.signals(())
    assert ear.messages[told:] == ["The kept signals were damaged and are made anew."]
    assert ear.finished == ["teacher signals"]


def test_online_on_request(scene: Callable[..., Scene], ear) -> None:
    here = scene(signals="online")
    assert here.signals().source == "online"
    assert not here.names
    assert not ear.messages


def test_older_signals_make_room(scene: Callable[..., Scene], options: RunOptions) -> None:
    here = scene()
    here.signals()
    other = SignalStore(here.store.folder.parent / "b", here.store.lengths, 3, False, 16)
    size = folder_bytes(here.store.folder)
    here.machine = machine_for(options.model_copy(update={"cache_budget_gb": 1.5 * size / 1e9}))
    assert signals_for(here.online(), other, here.machine).source == "cached"
    assert not here.store.folder.exists()


@pytest.mark.parametrize("name", ["logits", "hidden-02-all"])
def test_damaged_signals_are_mended_and_no_others(name: str, scene: Callable[..., Scene], ear) -> None:
    here = scene()
    needs = here.online().needs
    here.signals()
    whole, told = here.names, len(ear.messages)
    mend(here.store, needs, here.machine)
    assert (here.names, len(ear.messages)) == (whole, told)

    content = bytearray((here.store.folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (here.store.folder / name).write_bytes(content)
    mend(here.store, replace(needs, layers=(4,)), here.machine)
    assert (name in here.names) == (name == "hidden-02-all"), "nobody asked for layer 2"
    mend(here.store, needs, here.machine)
    assert here.names == whole - {name}
    assert ear.messages[told:] == ["The kept signals were damaged and are made anew."]
    mend(here.store, needs, here.machine)
    assert len(ear.messages) == told + 1

    here.examples = 0
    assert here.signals().source == "cached"
    assert (here.examples, here.names) == (ROWS_TO_READ, whole)


def test_only_the_main_process_mends(scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    here = scene()
    here.signals()
    whole = here.names
    (here.store.folder / "logits").write_bytes(b"")
    monkeypatch.setattr(Machine, "main", False)
    mend(here.store, here.online().needs, here.machine)
    assert here.names == whole


def test_the_teacher_learns_nothing(scene: Callable[..., Scene]) -> None:
    here = scene()
    here.teacher.train()
    before = {name: value.clone() for name, value in here.teacher.state_dict().items()}
    online = here.online()
    one, other = (online.view(online.fetch(np.array([0, 1]))) for _ in range(2))
    assert torch.equal(one.logits, other.logits)  # no dropout
    assert not one.logits.requires_grad
    assert not any(parameter.requires_grad for parameter in here.teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in here.teacher.state_dict().items())


def test_signals_survive_their_process(scene: Callable[..., Scene]) -> None:
    here = scene()
    here.signals()
    reopened = SignalStore(here.store.folder, here.store.lengths, 3, False, 16)
    signals = signals_for(here.online(), reopened, here.machine)
    assert isinstance(signals, CachedSignals)
    assert here.examples == ROWS_TO_READ
    assert not SignalPass(reopened, ["logits"]).folder.exists()
