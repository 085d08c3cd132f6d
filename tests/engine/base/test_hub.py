"""Models by name: folders first, the hub once, and no waiting for one that does not answer."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.base.errors import InputError
from engine.base.hub import hub_reachable, local_snapshot
from tests.clock import within
from tests.hub_server import COMMIT, answering, serving

USE = """
from engine.data.load import load_task
from engine.base.hub import local_snapshot
from engine.models.load import load_config, load_pretrained, load_tokenizer
task = load_task("org/movies")
config = load_config("org/tiny", "teacher")
model = load_pretrained("org/tiny", config, task.kind, 0, "teacher")
print(local_snapshot("org/tiny", "teacher").name, load_tokenizer("org/tiny", "teacher")("film").input_ids)
print(task.kind, len(task.train), [len(rows) for rows in task.validation.values()], task.labels)
"""

ASK = """
import socket, sys, time
from engine.base.errors import InputError
from engine.base.hub import local_snapshot
if {slow_names}:
    socket.getaddrinfo = lambda *_, **__: time.sleep(20)
import huggingface_hub
began = time.monotonic()
try:
    print(local_snapshot("org/model", "teacher"))
except InputError as error:
    print(time.monotonic() - began, error)
"""


def process(code: str, endpoint: str, **more: str) -> str:
    """What a process prints that finds the hub at an address."""
    environment = os.environ | {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": endpoint, "HTTPS_PROXY": ""} | more
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask_hub(endpoint: str, slow_names: bool = False, **more: str) -> tuple[float, str]:
    """What a process says that looks for a model at an address, and after how many seconds."""
    said = process(ASK.format(slow_names=slow_names), endpoint, **more)
    seconds, _, message = said.strip().partition(" ")
    return float(seconds), message


def test_a_folder_is_taken_as_it_is(saved: Callable[..., Path]) -> None:
    assert local_snapshot(str(saved()), "teacher") == saved()


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--student: this folder holds no model \(no config.json\)"):
        local_snapshot(str(tmp_path), "student")


def test_the_folder_of_a_run_without_a_student(tmp_path: Path) -> None:
    for file, words in (
        ("result.json", "the run in this folder ended without a model.* `autodistill show .*` says why"),
        (".work/run.json", "the run in this folder is not finished.* The command that began it goes on with it"),
    ):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
        with pytest.raises(InputError, match=f"MODEL: {words}"):
            local_snapshot(str(tmp_path), "model")


def test_a_path_that_is_not_there_names_the_nearest_model(tmp_path: Path) -> None:
    for name in ("minilm", "minilmms"):
        (tmp_path / name).mkdir()
    (tmp_path / "minilm" / "config.json").touch()
    with pytest.raises(InputError, match=r"no such folder.*Did you mean .*minilm\?"):
        local_snapshot(str(tmp_path / "minilmm"), "teacher")


@pytest.mark.parametrize("name", ["./nowhere", "~/no/where", "/nowhere", "a/b/c"])
def test_a_path_is_never_looked_for_on_the_hub(name: str) -> None:
    with pytest.raises(InputError, match="no such folder; got"):
        local_snapshot(name, "teacher")


def test_offline_says_so_at_once() -> None:
    refused = pytest.raises(InputError, match="the model hub cannot be reached")
    with within(10, time.monotonic), refused:
        assert not hub_reachable()
        local_snapshot("bert-base-uncased", "teacher")


def test_a_model_and_a_dataset_of_the_hub(saved: Callable[..., Path], tmp_path: Path) -> None:
    """Downloaded once, in one revision, without weights of other formats; later there without the hub."""
    root = tmp_path / "hub"
    shutil.copytree(saved(), root / "models" / "org" / "tiny")
    (root / "models" / "org" / "tiny" / "pytorch_model.bin").write_bytes(b"runs code")
    movies = root / "datasets" / "org" / "movies"
    movies.mkdir(parents=True)
    for split, times in {"train": 20, "validation": 5}.items():
        rows = "a good film,positive\na bad film,negative\n" * times
        (movies / f"{split}.csv").write_text(f"text,label\n{rows}")
    homes = {"HF_HOME": str(tmp_path / "home")}
    with serving(root) as (endpoint, asked):
        said = process(USE, endpoint, **homes)
        assert said.startswith(COMMIT)
        assert said.endswith("classification 40 [10] ('negative', 'positive')\n")
        once = [line for line in asked if line.startswith("GET /org/tiny/resolve")]
        assert any("model.safetensors" in line for line in once)
        assert not any("pytorch_model" in line for line in asked)
        assert len(set(once)) == len(once)
        assert sum("api/models" in line for line in asked) <= 2
        asked.clear()
        assert process(USE, endpoint, **homes) == said
        assert not any(line.startswith("GET /org/tiny/resolve") for line in asked)
    assert process(USE, endpoint, **homes) == said
    assert process(USE, endpoint, HF_HUB_OFFLINE="1", **homes) == said


def test_a_hub_that_swallows_connections() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        try:
            for client in waiting:  # fills the queue, so that the next connection gets no answer
                client.setblocking(False)
                client.connect_ex(server.getsockname())
            seconds, message = ask_hub(f"http://127.0.0.1:{server.getsockname()[1]}")
        finally:
            for client in waiting:
                client.close()
    assert "the model hub cannot be reached" in message
    assert 0.5 < seconds < 10


def test_names_that_are_never_resolved() -> None:
    seconds, message = ask_hub("http://hub.example", slow_names=True)
    assert "the model hub cannot be reached" in message
    assert seconds < 10


@pytest.mark.parametrize(
    "status, headers, words",
    [
        (404, {"X_Error_Code": "RepoNotFound"}, "the hub has no such model"),
        (401, {}, "the hub has no such model, or it needs a login"),
        (503, {}, "the model hub cannot be reached"),
        (200, {}, "the model hub cannot be reached"),  # a gateway that answers everything with a page
    ],
)
def test_a_hub_is_asked_and_never_asked_again(status: int, headers: dict[str, str], words: str, tmp_path: Path) -> None:
    with answering(status, **headers) as (endpoint, asked):
        seconds, message = ask_hub(endpoint, HF_HOME=str(tmp_path))
    assert words in message
    assert asked
    assert len(set(asked)) == len(asked)
    assert seconds < 10
