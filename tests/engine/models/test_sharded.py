"""A teacher that is fine-tuned in pieces on two processes is the one that a single process makes.

`python -m tests.engine.models.test_sharded FOLDER` is the program that torchrun starts twice; one process is this one.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from engine import Pipeline, distill
from engine.base.errors import InputError
from engine.base.machine import Machine, machine_for
from engine.base.options import FineTuning, RunOptions
from engine.models.shallow import layer_stack
from engine.models.sharded import is_sharded, sharded
from engine.run import fine_tuning
from engine.run.memory import check_held
from engine.run.plan import plan_run
from engine.run.teacher import prepare_teacher
from engine.training import loop
from tests.ear import Ear
from tests.toys import save_tiny, toy_task
from tests.two_processes import start_two

ROWS = 33  # four steps of eight, and one of one
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "whole": ("single", {}),
    "lora": ("single", {"lora": 4}),
    "checkpointing": ("tagging", {"gradient_checkpointing": True}),
    "values": ("regression", {}),
}
"""What is fine-tuned how; a step is not the same for each process, for tags are counted and values have a unit."""
PIPELINE = Pipeline.model_validate(
    {"training": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "max_length": 24}}
)
STOPS = "whole"
"""Two processes stop it after its first epoch and go on with it, and one process does not."""


def main(folder: Path) -> None:
    """All trainings, one after the other, in every process."""
    shard = "RANK" in os.environ
    cache = folder / "cache"
    options = RunOptions(device="cpu", precision="float32", cache_dir=cache, shard_teacher=shard, checkpoint_seconds=0)
    found: dict[str, Any] = {}
    for name, (kind, how) in WAYS.items():
        tuning = FineTuning(when="always", epochs=2, batch_size=8, learning_rate=1e-3, **how)
        if name == STOPS and shard:
            _stopped(toy_task(kind, rows=ROWS, held_out=9), folder, tuning, machine_for(options))
        ear = Ear()
        result = distill(
            toy_task(kind, rows=ROWS, held_out=9),
            teacher=str(folder.parent / kind),
            student="layers:2",
            pipeline=PIPELINE,
            out=folder / name,
            fine_tuning=tuning,
            options=options,
            reporter=ear,
        )
        (weights,) = set(cache.glob("teachers/*/model.safetensors")) - {Path(each) for each, *_ in found.values()}
        epochs = [message.split(",")[0] for message in ear.messages if message.startswith("teacher: epoch")]
        found[name] = (str(weights), result.scores["teacher"], epochs)
    if shard:
        network = AutoModelForSequenceClassification.from_pretrained(folder.parent / "single")
        own = sum(
            each.to_local().numel() for each in sharded(network, layer_stack(network), torch.device("cpu")).parameters()
        )
        found["share"] = own / sum(each.numel() for each in network.parameters())
    (folder / f"process-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(found))


def _stopped(task: Any, folder: Path, tuning: FineTuning, machine: Machine) -> None:
    """The teacher's first epoch, in the folder in which the run below goes on with it."""
    first_epoch = []

    def stop(stage: Any, machine: Machine) -> Any:
        loop.train(replace(stage, until_epoch=1), machine)
        first_epoch.extend(stage.folder.glob("sharded.pt"))
        raise KeyboardInterrupt

    plan = plan_run(task, PIPELINE, str(folder.parent / "single"), "layers:2", fine_tuning=tuning)
    assert plan.teacher is not None
    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(fine_tuning, "train", stop)
        prepare_teacher(plan.teacher, task, plan.pipeline.training, machine)
    assert len(first_epoch) == 1


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    for kind in ("single", "tagging", "regression"):
        save_tiny(folder / kind, toy_task(kind), layers=4, **no_dropout)
    for processes in ("1", "2"):
        (folder / processes).mkdir()
    main(folder / "1")
    start_two("tests.engine.models.test_sharded", folder / "2")
    return folder


@pytest.mark.parametrize("name", WAYS)
def test_pieces_make_the_teacher_that_one_process_makes(name: str, ended: Path) -> None:
    one, two = (json.loads((ended / processes / "process-0.json").read_text())[name] for processes in "12")
    alone, together = load_file(one[0]), load_file(two[0])
    assert alone.keys() == together.keys()
    for key in alone:
        if not key.endswith("key.bias"):  # has no gradient but rounding, which the optimiser blows up
            assert (alone[key] - together[key]).abs().mean() < 1e-4, key
    for split, scores in one[1].items():
        assert two[1][split] == pytest.approx(scores, abs=0.1)


def test_what_was_stopped_went_on_where_it_was(ended: Path) -> None:
    """Without its checkpoint it would have made the same teacher again from the beginning."""
    one, two = (json.loads((ended / processes / "process-0.json").read_text()) for processes in "12")
    assert two[STOPS][2] == ["teacher: epoch 2 of 2"]
    assert all(
        of[name][2] == ["teacher: epoch 1 of 2", "teacher: epoch 2 of 2"]
        for of in (one, two)
        for name in WAYS
        if (of, name) != (two, STOPS)
    )


def test_both_processes_have_the_whole_teacher_in_the_end(ended: Path) -> None:
    first, second = (json.loads((ended / "2" / f"process-{rank}.json").read_text()) for rank in (0, 1))
    assert first.keys() == second.keys()
    assert all(first[name][:2] == second[name][:2] for name in WAYS)


def test_each_process_holds_its_piece(ended: Path) -> None:
    shares = [json.loads((ended / "2" / f"process-{rank}.json").read_text())["share"] for rank in (0, 1)]
    assert sum(shares) == pytest.approx(1)
    assert max(shares) < 0.55


def test_one_process_has_no_pieces(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is one process"):
        machine_for(RunOptions(cache_dir=tmp_path, shard_teacher=True))


@pytest.mark.parametrize("name", ["int8_teacher", "shard_teacher"])
def test_weights_in_fewer_bits_are_not_cut(name: str) -> None:
    options = RunOptions.model_validate({name: True})
    check_held("", options)
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')}"):
        check_held("4bit", options)


def test_nothing_is_in_pieces_where_there_is_one_process() -> None:
    assert not is_sharded(torch.nn.Linear(2, 2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
