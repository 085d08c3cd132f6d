"""A model that stands in memory, as one that has a name.

Decided here: it is written into the cache under the hash of its files, so the same model is the same teacher again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.base.cache import intact, keeping, kept
from engine.base.errors import InputError
from engine.base.files import disk_errors
from engine.base.hub import model_hash
from engine.base.progress import Reporter, SilentReporter
from engine.models.names import without_path


def name_of(model: object, cache: Path, reporter: Reporter | None = None) -> str:
    """The name of a teacher: as it is, the path of a folder, or where a model and its tokenizer are kept from now on.

    Raises:
        InputError: It is none of these.
    """
    if isinstance(model, str | Path):
        return str(model)
    if not (isinstance(model, tuple) and len(model) == 2 and all(hasattr(each, "save_pretrained") for each in model)):
        allowed = ("a name", "a path", "(model, tokenizer)")
        raise InputError.of("--teacher", "no model", type(model).__name__, allowed)
    from engine.models.load import save_model  # loads torch

    with disk_errors(cache):
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache, prefix=".given-") as folder:
            save_model(*model, Path(folder))
            about = without_path(model[0].name_or_path) or type(model[0]).__name__
            place = kept(cache, "given_models", model_hash(Path(folder)), about=about)
            if not intact(place, reporter or SilentReporter()):
                with keeping(place) as aside:
                    shutil.copytree(folder, aside, dirs_exist_ok=True)
    return str(place)
