"""What is kept from one run to the next: it belongs to the layout of its files, the code that made it and the
libraries that computed it, and what another version made is made anew."""

from functools import cache
from importlib.metadata import version
from pathlib import Path

from engine.base.files import hash_of, hash_of_files

LAYOUT = 2  # of the files in the cache
LIBRARIES = ("accelerate", "datasets", "numpy", "tokenizers", "torch", "transformers")
CODE = Path(__file__).parents[1]


@cache
def maker(code: Path = CODE, libraries: tuple[str, ...] = LIBRARIES) -> str:
    """Hash of what makes the kept files: their layout, a package's code, the libraries."""
    return hash_of(LAYOUT, hash_of_files(list(code.rglob("*.py"))), *map(version, libraries))


def kept(root: Path, kind: str, *identity: object) -> Path:
    """Where in a cache something of a kind is kept that follows from its identity and its maker alone."""
    return root / kind / hash_of(maker(), *identity)
