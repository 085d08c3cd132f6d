"""The ways of `benchmarks/throughput.py` do the same work, take steps when asked, and are compared turn by turn."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from engine.models.forward import forward
from engine.objective.equation import Objective
from engine.pipeline import MSE, Pipeline, PredictionCE
from engine.tokens.examples import encode

ROOT = Path(__file__).resolve().parents[2]
TINY = {"teacher": (4, 24), "student": (2, 12), "batch": 3, "tokens": 10, "threads": 1}
SIZES = ("--teacher", "4x24", "--student", "2x12", "--batch", "3", "--tokens", "10", "--threads", "1")


def script(name: str) -> ModuleType:
    return __import__(name)


def test_the_loops_minimise_what_the_engine_minimises() -> None:
    workload = script("workload").Workload(**TINY)
    teacher, student = workload.models()
    student.eval()  # without dropout
    batch = next(workload.batches())
    pipeline = Pipeline(intermediate=MSE(), prediction=PredictionCE(temperature=4.0))
    widths = {"student_width": 12, "teacher_width": 24, "student_layers": 2, "teacher_layers": 4}
    objective = Objective(pipeline, "classification", **widths)
    assert list(objective.mapping.pairs) == workload.pairs == [(1, 2), (2, 4)]
    projections = nn.ModuleList(objective.intermediate.projections.maps.values())

    seen = (forward(model, batch, "classification", layers) for model, layers in ((student, (1, 2)), (teacher, (2, 4))))
    expected = objective(*seen, torch.zeros(3, dtype=torch.long), {"examples": 3.0})
    loops = script("loops")
    said = loops.answers(teacher, batch, workload)
    found = loops.loss(student, projections, batch, said, workload.pairs)
    torch.testing.assert_close(found, sum(expected.values()))


def test_the_engine_reads_texts_as_long_as_the_others_batches(tmp_path: Path) -> None:
    ours, workload = script("ours"), script("workload").Workload(**TINY, steps=2)
    task = ours.task_of(workload)
    encoded = encode(task.train, task, ours.tokenizer(), max_length=100)
    assert encoded.lengths.tolist() == [10] * 6
    inputs = encoded.inputs(range(6))["input_ids"][:, 1:9]
    assert inputs.min() >= 1000  # words, none of which the tokenizer cut
    assert inputs.max() < 30522
    assert len(inputs.unique()) > 40  # the same many words of which the others draw


def answers(process: subprocess.Popen[str]) -> list[float]:
    assert process.stdout is not None
    return list(json.loads(process.stdout.readline()))


def test_a_way_takes_as_many_steps_as_it_is_asked_for_and_ends() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/ways/loops.py"), "limit", json.dumps(TINY)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert answers(process) == []  # it is ready
        for count in (3, 1):
            print(count, file=process.stdin, flush=True)
            seconds = answers(process)
            assert len(seconds) == count
            assert min(seconds) > 0
        process.stdin.close()
        assert process.wait() == 0


def test_ways_are_compared_with_the_limit_of_their_precision_turn_by_turn() -> None:
    throughput = script("throughput")
    full = throughput.Workload(**TINY)
    half = replace(full, precision="bf16")
    turns = {
        ("engine_cached", full): [2.0, 30.0, 2.0],  # others were busy in the second round, for all alike
        ("engine_cached", half): [1.0, 10.0, 1.0],
        ("limit", full): [1.0, 15.0, 1.0],
        ("limit", half): [0.9, 9.0, 0.9],
        ("textbrewer", full): [8.0, 120.0, 9.0],
    }
    ways = [throughput.Way(label, workload, "python", found) for (label, workload), found in turns.items()]
    rows = throughput.table(ways)
    assert [(row["label"], row["precision"]) for row in rows][:2] == [
        ("engine_cached", "float32"),
        ("engine_cached", "bf16"),
    ]
    assert [row["examples_per_s"] for row in rows] == [1.5, 3.0, 3.0, 3.33, 0.33]
    assert [row["ratio_to_limit"] for row in rows] == [0.5, 0.9, 1.0, 1.0, 0.125]
    assert [row["ratio_to_textbrewer"] for row in rows] == [4.0, 9.0, 8.0, 10.0, 1.0]
    assert {row["ratio_to_textbrewer"] for row in throughput.table(ways[:4])} == {None}
    assert throughput.shown(rows).splitlines()[2].startswith("| engine_cached | float32 | 1.5 | 4.0 | 0.5 |")


def test_what_others_compute_is_not_what_we_do() -> None:
    machine = script("machine")
    burn = "import time\nwhile time.process_time() < 1: pass\nprint('done', flush=True)\ninput()"
    ours, everybody = machine.Others(), machine.Others()
    everybody._ours = lambda: 0.0
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        began = time.perf_counter()
        with everybody, ours:
            assert process.stdout is not None
            process.stdout.readline()
        seconds = time.perf_counter() - began
        process.communicate(b"\n")
    assert 0 <= ours.cores <= everybody.cores
    assert (everybody.cores - ours.cores) * seconds > 0.8


def test_the_machine_is_named() -> None:
    machine = script("machine")
    there = {"cpu": "Z80", "cores": 1, "memory_gb": 4, "AVX2": True, "AMX": False, "gpu": None, "torch": "2.13"}
    assert machine.in_words(there) == "1 core of Z80 with AVX2 (no AMX), 4 GB, no GPU, torch 2.13"
    assert set(machine.INSTRUCTIONS) <= machine.features().keys()


@pytest.mark.slow
def test_rows_of_the_engine_and_its_limit_and_why_a_peer_is_left_out() -> None:
    ways = ("--ways", "engine_cached", "limit", "textbrewer")
    amount = ("--steps", "2", "--warmup", "1", "--rounds", "2", "--clock", "processor")
    command = [sys.executable, "benchmarks/throughput.py", "--json", *ways, *amount, *SIZES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)
    assert {row["label"] for row in rows} == {"engine_cached", "limit"}
    assert all(row["examples_per_s"] > 0 and row["ratio_to_limit"] > 0 for row in rows)
    assert {row["ratio_to_textbrewer"] for row in rows} == {None}
    assert "textbrewer is left out: ModuleNotFoundError" in done.stderr
