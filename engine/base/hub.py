"""The model hub: whether it can be reached, and a local folder for any model name."""

import os
import socket
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import urlparse

from engine.base.errors import InputError, Problem, unknown_name
from engine.base.files import ANSWERS_FILE, RESULT_FILE, WORK, hash_of_files
from engine.base.text import expanded

CONFIG, TOKENIZER, TOKENIZER_CONFIG = "config.json", "tokenizer.json", "tokenizer_config.json"
TOKENIZER_OBJECTS = (TOKENIZER, TOKENIZER_CONFIG, "special_tokens_map.json", "added_tokens.json")
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.spm", "*.tiktoken")


def place_of(role: str) -> str:
    """Where a user names the model of this role.

    Example:
        >>> place_of("teacher"), place_of("model"), place_of("augmentation.contextual.model")
        ('--teacher', 'MODEL', 'augmentation.contextual.model')
    """
    if "." in role:
        return role
    return "MODEL" if role == "model" else f"--{role}"


@cache
def hub_reachable(seconds: float = 1.0) -> bool:
    """Whether the hub answers within `seconds`; asked once per process, for libraries would retry for minutes."""
    from huggingface_hub import constants

    if constants.is_offline_mode():
        return False
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    address = urlparse(proxy or constants.ENDPOINT)
    port = address.port or (80 if address.scheme == "http" else 443)
    answers: list[bool] = []

    def ask() -> None:
        with suppress(OSError), socket.create_connection((address.hostname or "", port), timeout=seconds):
            answers.append(True)

    asking = threading.Thread(target=ask, daemon=True)  # looking up a name has no time limit of its own
    asking.start()
    asking.join(seconds)
    return bool(answers)


def local_snapshot(name: str, role: str) -> Path:
    """The folder of a model: `name` itself if it is one, otherwise the hub's, downloaded once.

    Args:
        name: A folder or a hub name.
        role: `teacher`, `student`, `model`, or the key of a pipeline that names it; for the message.

    Raises:
        InputError: No such folder, no such hub model, or the hub cannot be reached.
    """
    from huggingface_hub.errors import HfHubHTTPError

    place = place_of(role)
    folder = expanded(name)
    if folder.is_dir():
        if not (folder / CONFIG).is_file():
            raise InputError(_no_model(folder, place, name))
        return folder
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or folder.is_file():
        models = sorted(str(path.parent) for path in folder.parent.glob("*/config.json"))
        raise InputError(unknown_name(place, "no such folder", name, models))
    try:
        return _downloaded(name)
    except HfHubHTTPError as error:
        raise InputError.of(place, "the hub has no such model, or it needs a login", repr(name)) from error
    except Exception as error:  # a gateway in between may answer with anything
        what = "no such folder, and the model hub cannot be reached to look for a model of this name"
        hint = "A folder that holds the model, with its config.json, can be named in its place."
        raise InputError.of(place, what, repr(name), (), hint) from error


def _no_model(folder: Path, place: str, name: str) -> Problem:
    """What a folder without a model is: perhaps a run without a student."""
    if (folder / WORK).is_dir():
        what, hint = "the run in this folder is not finished", "The command that began it goes on with it."
    elif (folder / RESULT_FILE).is_file():
        what, hint = "the run in this folder ended without a model", f"`autodistill show {name}` says why."
    else:
        what, hint = "this folder holds no model (no config.json)", ""
    return Problem(place, what, repr(name), (), hint)


def model_hash(folder: Path) -> str:
    """A short hash of what decides a model's answers: weights, configuration, tokenizer; not of a run's record."""
    return hash_of_files(
        [path for each in MODEL_FILES for path in folder.glob(each) if path.name not in (RESULT_FILE, ANSWERS_FILE)]
    )


@cache
def _downloaded(name: str) -> Path:
    """The hub model's local folder; asked for once per process, so that a run sees one revision."""
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, allow_patterns=list(MODEL_FILES), local_files_only=not hub_reachable()))
