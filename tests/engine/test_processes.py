"""Two processes make the student that one makes.

`python -m tests.engine.test_processes FOLDER` is the program that torchrun starts twice; one process
is this one. The data have an odd number of rows, so one process's share of the last step is empty.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

from tests.toys import save_tiny, toy_task
from tests.two_processes import start_two

ROWS = 33  # four steps of eight, and one of one
CLOSE = 0.1
"""Two of nine held-out rows that nearly tie may change places in a rank; losses are compared closely."""
PIPELINES: dict[str, tuple[str, dict[str, Any]]] = {
    "soft labels": ("single", {}),
    "hidden states": ("tagging", {"intermediate": {"kind": "mse"}, "weights": {"hard_label": 1.0}}),
    "accumulated": ("question_answering", {"prediction": {"kind": "mse"}, "training": {"gradient_accumulation": 2}}),
    "all pairs": (
        "regression",
        {"intermediate": {"kind": "cos"}, "mapping": {"kind": "emd"}, "prediction": {"kind": "mse"}},
    ),
    "team": ("single", {"team": {"kind": "autoskd", "members": ["layers:3", "layers:1"], "candidates": 2}}),
}
CRITIC = {"kind": "mlp", "width": 8, "layers": 2, "feed_forward": 8}
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "mutual information": ("single", {"intermediate": {"kind": "mi_alpha", "critic": CRITIC}}),
    "too fast": ("single", {"training": {"learning_rate": 1e30}}),
}
"""A loss that depends on who is together in a process, and one that soon is no number."""
PAUSES = "hidden states"
"""The run that two processes stop after its first epoch and go on with, and one process does not."""
TRAINING = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "max_length": 24}


def main(folder: Path) -> None:
    """All runs, one after the other, in every process."""
    from engine import distill
    from engine.base.errors import RunError
    from engine.base.options import FineTuning, RunOptions

    options = RunOptions(device="cpu", precision="float32", cache_dir=str(folder / "cache"), checkpoint_seconds=3600)
    rank = int(os.environ.get("RANK", "0"))
    found: dict[str, Any] = {}
    for name, (kind, components) in (PIPELINES | OTHERS).items():
        task = toy_task(kind, rows=ROWS, held_out=9)
        training = TRAINING | components.get("training", {})
        if kind == "question_answering":
            training["window_overlap"] = 4
        run = partial(
            distill,
            task,
            teacher=str(folder.parent / kind),
            student="layers:2",
            pipeline={**components, "training": training},
            out=folder / name,
            student_alone=name == "soft labels",
            fine_tuning=FineTuning(when="always", epochs=1, batch_size=8, learning_rate=1e-3),
            options=options,
        )
        try:
            if name == PAUSES and "RANK" in os.environ:
                found["paused"] = run(until_epoch=1).model_dump()
            found[name] = run().model_dump()
        except RunError as error:
            found[name] = str(error)
    (folder / f"process-{rank}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    for kind in ("single", "tagging", "question_answering", "regression"):
        save_tiny(folder / kind, toy_task(kind), layers=4, **no_dropout)
    for processes in ("1", "2"):
        (folder / processes).mkdir()
    main(folder / "1")
    start_two("tests.engine.test_processes", folder / "2")
    return folder


def records(ended: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads((ended / str(processes) / name / "result.json").read_text()) for processes in (1, 2)]


@pytest.mark.parametrize("name", PIPELINES)
def test_two_processes_make_the_same_student(name: str, ended: Path) -> None:
    one, two = (load_file(ended / str(processes) / name / "model.safetensors") for processes in (1, 2))
    assert one.keys() == two.keys()
    for key in one:
        # What softmax cancels has no gradient but rounding, which the optimiser blows up.
        if not key.endswith(("key.bias", "qa_outputs.bias", "1.output.LayerNorm.bias")):
            assert (one[key] - two[key]).abs().mean() < 1e-4, key


def test_both_processes_know_the_result(ended: Path) -> None:
    first, second = (json.loads((ended / "2" / f"process-{rank}.json").read_text()) for rank in (0, 1))
    words = first.pop("too fast")
    assert words == second.pop("too fast") == records(ended, "too fast")[1]["reason"]
    assert "is not a finite number" in words
    assert first.pop("paused") == second.pop("paused")
    assert first == second == {name: records(ended, name)[1] for name in first}
    assert not (ended / "1" / "process-1.json").exists()


@pytest.mark.parametrize("name", PIPELINES)
def test_two_processes_log_the_same_losses_and_scores(name: str, ended: Path) -> None:
    one, two = records(ended, name)
    assert one["teacher_examples"] == two["teacher_examples"] >= ROWS
    assert one["best_epoch"] == two["best_epoch"]
    for first, second in zip(one["history"], two["history"], strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=2e-3)
        assert second["scores"] == pytest.approx(first["scores"], abs=CLOSE)
    assert two["teacher_score"] == pytest.approx(one["teacher_score"], abs=CLOSE)
    assert two["student_score"] == pytest.approx(one["student_score"], abs=CLOSE)


def test_a_pause_is_one_of_both_processes(ended: Path) -> None:
    """Going on from it leads to what one process finds that does not pause: see the tests above."""
    paused = json.loads((ended / "2" / "process-1.json").read_text())["paused"]
    one, two = records(ended, PAUSES)
    assert (paused["status"], one["status"], two["status"]) == ("pruned", "ok", "ok")
    assert paused["history"] == two["history"][:1]
    assert paused["layers"] == two["layers"] == 2
    assert paused["parameters"] == two["parameters"] == one["parameters"]


def test_a_search_of_two_processes_is_that_of_one(ended: Path) -> None:
    one, two = (pd.read_csv(ended / str(processes) / "team" / "theta.csv") for processes in (1, 2))
    assert len(one) == 2 * 5
    np.testing.assert_allclose(two, one, atol=1e-3)
    assert one.iloc[-1, 2:].nunique() > 1
    first, second = (record["team"] for record in records(ended, "team"))
    assert len(first["candidates"]) == len(second["candidates"]) == 2


def test_the_baseline_agrees_too(ended: Path) -> None:
    one, two = records(ended, "soft labels")
    assert two["student_alone_score"] == pytest.approx(one["student_alone_score"], abs=0.02)


def test_signals_are_filled_by_both_and_agree(ended: Path) -> None:
    sizes = [
        sorted((path.name, path.stat().st_size) for path in (ended / str(processes) / "cache" / "signals").glob("*/*"))
        for processes in (1, 2)
    ]
    assert sizes[0] == sizes[1] != []


def test_a_run_that_fails_fails_in_all_processes(ended: Path) -> None:
    one, two = records(ended, "too fast")
    assert one["status"] == two["status"] == "failed"
    assert one["reason"] == two["reason"]


def test_mutual_information_is_contrasted_within_each_process(ended: Path) -> None:
    """Half as many negatives, so another loss; the run itself is sound."""
    for record in records(ended, "mutual information"):
        assert record["status"] == "ok"
        assert record["teacher_examples"] == ROWS
        assert record["history"][1]["loss"]["intermediate"] < record["history"][0]["loss"]["intermediate"] + 0.1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
