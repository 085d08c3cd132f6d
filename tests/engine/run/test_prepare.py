"""Examples with the teacher's view: through another tokenizer, from the cache, or as the teacher runs along."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from engine import distill
from engine.base.options import RunOptions
from engine.models.load import save_model
from engine.signals import signals
from tests.engine.runs import LEARNED, MI_ALPHA, TEACHER, TRAINING, TUNING, Finished, again, small
from tests.tokenizers import byte_bpe, wordpiece
from tests.toys import WORDS, save_tiny, toy_task

FILLING = WORDS * 2


@pytest.fixture(scope="session")
def byte_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa encoder with a byte-level BPE of the toy tasks' words, that has learned nothing yet."""
    folder = tmp_path_factory.mktemp("roberta")
    tokenizer = byte_bpe(tuple(" ".join(WORDS[at:] + WORDS[:at]) for at in range(len(WORDS))), 600)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "layers": 2, "seed": 0}
    model = save_tiny(folder / "whole", toy_task("single"), "roberta", tokenizer, **sizes)
    save_model(model.roberta, tokenizer, folder / "encoder")
    return folder / "encoder"


@pytest.mark.parametrize("name", ["single", "tagging", "question_answering"])
@pytest.mark.parametrize("kind", ["mi_alpha", "mse", "attention", "relations"])
def test_a_teacher_with_another_tokenizer(
    name: str, kind: str, byte_teacher: Path, warm: RunOptions, tmp_path: Path
) -> None:
    """The student learns from soft labels and hidden states alone, token by token."""
    task = toy_task(name)
    save_tiny(
        tmp_path / "student", task, tokenizer=wordpiece(WORDS, 400), hidden_size=64, layers=2, intermediate_size=128
    )
    training = TRAINING | {"learning_rate": 2e-3, "max_length": 32}
    if name == "question_answering":
        training |= {"window_overlap": 8}
    intermediate = MI_ALPHA | {"level": "token", "max_tokens": 64} if kind == "mi_alpha" else {"kind": kind}
    result = distill(
        task,
        teacher=str(byte_teacher),
        student=str(tmp_path / "student"),
        pipeline={"intermediate": intermediate, "weights": {"intermediate": 0.1}, "training": training},
        out=tmp_path / "out",
        fine_tuning=TUNING,
        options=warm,
    )
    assert result.teacher_score > LEARNED[name]
    assert result.student_score > LEARNED[name] - 0.1
    assert all(math.isfinite(value) for entry in result.history for value in entry["loss"].values())
    assert AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab() == wordpiece(WORDS, 400).get_vocab()


@pytest.mark.parametrize("architecture, positions", [("roberta", 66), ("bert", 59)])
def test_long_texts_under_a_teacher_that_reads_less(
    architecture: str, positions: int, tmp_path: Path, options: RunOptions
) -> None:
    """More tokens in the teacher's tokenizer than it has positions: what it does not see has no partner."""
    task = toy_task("question_answering", rows=12, held_out=4)
    longer = {"context": " ".join(FILLING)}
    stretched = [
        rows.map(lambda row: {"context": f"{row['context']} {longer['context']}"})
        for rows in (task.train, task.validation["validation"])
    ]
    task = replace(task, train=stretched[0], validation={"validation": stretched[1]}, fingerprint="long")
    save_tiny(tmp_path / "teacher", task, architecture, byte_bpe(), max_position_embeddings=positions)
    save_tiny(tmp_path / "student", task, tokenizer=wordpiece(WORDS, 400))
    training = TRAINING | {"epochs": 1, "max_length": 48, "window_overlap": 8}
    result = distill(
        task,
        teacher=str(tmp_path / "teacher"),
        student=str(tmp_path / "student"),
        pipeline={"intermediate": {"kind": "mse"}, "training": training},
        out=tmp_path / "out",
        options=options,
    )
    assert result.status == "ok"
    assert result.teacher_examples > len(task.train)


@dataclass
class Passes:
    """Counts the examples that pass a teacher, wherever the engine asks it for signals."""

    count: int = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Passes:
        forward = signals.forward

        def counted(model: Any, inputs: Any, *more: Any) -> Any:
            self.count += len(inputs["input_ids"])
            return forward(model, inputs, *more)

        monkeypatch.setattr(signals, "forward", counted)
        return self


def test_teacher_passes_are_what_the_record_says(
    options: RunOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five epochs cost one pass, a second pipeline costs none, a new layer costs one."""
    passes, counts = Passes().install(monkeypatch), []
    training = TRAINING | {"epochs": 5}
    pipelines = [
        {"intermediate": {"kind": "mse"}, "mapping": {"kind": "last"}},
        {"intermediate": {"kind": "pkd"}, "mapping": {"kind": "last"}, "prediction": {"kind": "mse"}},
        {},
        {"intermediate": {"kind": "cos"}, "mapping": {"kind": "emd"}},
    ]
    for number, components in enumerate(pipelines):
        result = small(options, tmp_path / str(number), pipeline=components | {"training": training})
        counts.append((result.teacher_examples, passes.count))
        passes.count = 0
    assert counts == [(24, 24), (0, 0), (0, 0), (24, 24)]
    stored = {path.name for path in (options.cache / "signals").glob("*/*")}
    arrays = {"logits", "hidden-01-all", "hidden-02-all"}
    assert stored == arrays | {f"{name}.checksum" for name in arrays}


def test_online_the_teacher_sees_every_epoch(
    finished: Callable[[str], Finished], warm: RunOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, passes = finished("single"), Passes().install(monkeypatch)
    pipeline = run.result.pipeline | {"training": TRAINING | {"epochs": 2}}
    results = {
        signals: again(run, warm.model_copy(update=change), tmp_path / signals, pipeline=pipeline)
        for signals, change in (("online", {"signals": "online"}), ("cached", {}))
    }
    online, cached = results["online"], results["cached"]
    assert (online.signals, online.teacher_examples, passes.count) == ("online", *[2 * len(run.task.train)] * 2)
    assert (cached.signals, cached.teacher_examples) == ("cached", 0)
    for one, other in zip(online.history, cached.history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=0.02)


def test_students_of_other_types_read_the_same_augmented_steps(warm: RunOptions, tmp_path: Path) -> None:
    """They read the same tokens, so the teacher is asked about them once."""
    pipeline = {"augmentation": "random", "training": TRAINING | {"epochs": 2, "learning_rate": 3e-3}}
    options = warm.model_copy(update={"cache_dir": str(tmp_path / "cache")})
    known = {"teacher": TEACHER, "pipeline": pipeline, "fine_tuning": TUNING, "options": options}
    task = toy_task("single", rows=24, held_out=8)
    first, second = (distill(task, student=name, out=tmp_path / name, **known) for name in ("lstm", "static"))
    assert first.teacher_examples == 24 + 2 * 24
    assert second.teacher_examples == 0
