"""What is kept from one run to the next, and when it may be used again.

Decided here: whatever is kept belongs to the layout of its files, the code that made it and the libraries
that computed it. What another version made is not used; it is made anew.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from pathlib import Path

from engine.base.files import hash_of, hash_of_files

LAYOUT = 2
"""Of the files in the cache."""
LIBRARIES = ("accelerate", "datasets", "numpy", "tokenizers", "torch", "transformers")
CODE = Path(__file__).parents[1]


@cache
def maker(code: Path = CODE) -> str:
    """Hash of what makes the kept files: their layout, a package's code, the libraries.

    Args:
        code: Folder of the package.
    """
    return hash_of(LAYOUT, hash_of_files(list(code.rglob("*.py"))), *map(version, LIBRARIES))


def kept(root: Path, kind: str, *identity: object) -> Path:
    """Where something is kept that follows from its identity and its maker alone.

    Args:
        root: The cache (`RunOptions.cache`).
        kind: Its folder there, such as `teachers`.
    """
    return root / kind / hash_of(maker(), *identity)
