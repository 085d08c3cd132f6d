"""Makes meta_data/glove.bin: GloVe's most frequent words in word2vec's binary form.

    python scripts/convert_glove.py FILE

FILE holds words of GloVe in its text form, such as the first lines of glove.6B.50d.txt
(https://nlp.stanford.edu/projects/glove/, Public Domain Dedication and License 1.0).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.data.vectors import read_vectors
from meta_data import GLOVE


def convert(source: Path, target: Path = GLOVE) -> None:
    """Writes the vectors of a file in word2vec's binary form."""
    read_vectors(source, str(source)).save_word2vec_format(str(target), binary=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    convert(parser.parse_args().file)
