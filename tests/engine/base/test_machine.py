"""Devices and precisions: what was asked for, or a clear no."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from engine.base import machine as hardware
from engine.base.errors import InputError
from engine.base.machine import (
    Machine,
    choose_precision,
    device_name,
    free_on,
    machine_for,
    peak_memory_mb,
    rounding_for,
)
from engine.base.options import RunOptions

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    "requested, device, has_bf16, chosen",
    [
        ("auto", CPU, True, "bf16"),
        ("auto", CPU, False, "float32"),
        ("auto", CUDA, True, "bf16"),
        ("auto", CUDA, False, "fp16"),
        ("bf16", CPU, False, "bf16"),
        ("float32", CPU, True, "float32"),
        ("float32", CUDA, True, "float32"),
        ("fp16", CUDA, True, "fp16"),
    ],
)
def test_precision(
    requested: str, device: torch.device, has_bf16: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "cpu_has_bf16", lambda: has_bf16 and device is CPU)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_bf16 and device is CUDA)
    assert choose_precision(requested, device) == chosen


def test_fp16_needs_a_gpu() -> None:
    with pytest.raises(InputError, match=r"--precision: fp16 needs a GPU.*Did you mean float32\?"):
        machine_for(RunOptions(device="cpu", precision="fp16"))


def test_all_that_rounds_has_a_name(options: RunOptions) -> None:
    machine = machine_for(options.model_copy(update={"precision": "float32", "device": "cpu"}))
    eight = machine_for(options.model_copy(update={"precision": "float32", "device": "cpu", "int8_teacher": True}))
    assert (machine.rounding, eight.rounding, eight.precision) == ("float32", "float32, teacher int8", "float32")
    assert (rounding_for(machine.options), rounding_for(eight.options)) == (machine.rounding, eight.rounding)


@pytest.mark.gpu
def test_8_bit_integers_are_for_cpus(options: RunOptions) -> None:
    with pytest.raises(InputError, match="--int8-teacher: 8-bit integers are for CPUs"):
        machine_for(options.model_copy(update={"device": "cuda", "int8_teacher": True}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(InputError, match="--device: this machine has no CUDA device"):
        machine_for(RunOptions(device="cuda"))


def test_one_process_may_change_its_mind(options: RunOptions) -> None:
    for precision in ("bf16", "float32", "bf16", "float32"):
        machine = machine_for(options.model_copy(update={"precision": precision}))
        assert machine.precision == precision
        with machine.accelerator.autocast():
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == {"bf16": torch.bfloat16}.get(precision, torch.float32)


def test_the_machine_knows_itself(machine: Machine) -> None:
    assert machine.main
    assert machine.device == CPU
    assert machine.agreed({"a": 1}) == {"a": 1}
    before = torch.get_num_threads()
    for threads, words in ((2, "cpu, 2 threads"), (1, "cpu, 1 thread")):
        torch.set_num_threads(threads)
        assert device_name(CPU) == words
    torch.set_num_threads(before)


def test_peak_memory_sees_what_was_used() -> None:
    before = peak_memory_mb(CPU)
    ballast = torch.ones(200_000_000, dtype=torch.uint8)
    assert peak_memory_mb(CPU) >= before
    assert peak_memory_mb(CPU) > ballast.numel() / 1e6


def test_only_one_run_makes_a_thing(machine: Machine, options: RunOptions, tmp_path: Path) -> None:
    events = []

    def work(name: str) -> None:
        with machine.alone(tmp_path / "deep" / "thing"):
            events.append(f"{name} in")
            time.sleep(0.1)
            events.append(f"{name} out")

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.split()[1] for event in events] == ["in", "out", "in", "out"]


def test_processes_share_the_cores() -> None:
    code = """
import os, torch
from engine.base.machine import share_threads
cores = len(os.sched_getaffinity(0))
share_threads()
alone = torch.get_num_threads()
os.environ["LOCAL_WORLD_SIZE"] = str(2 * cores)
share_threads()
assert torch.get_num_threads() == 1 <= alone, (alone, torch.get_num_threads())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_what_torch_holds_of_a_gpu_and_nothing_uses_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run leaves most of the memory with torch, and the next one in the process has it."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 8_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 7_000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 400)
    assert free_on(CUDA) == 6_700
    assert free_on(CPU) is None
