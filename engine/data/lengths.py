"""How long the texts of a task are, for the length to which a model reads them.

Decided here: tokens are estimated without a tokenizer, so that the length belongs to the dataset and not to a model.
The estimate is generous, because room that no text needs costs nothing: batches are padded to their longest text.
"""

import math
import re
from itertools import islice

from engine.data.task import KINDS, Task

PIECE = re.compile(r"[A-Za-z0-9]{1,4}|\S")
"""About a token: four letters, or one of any other alphabet."""
SPECIAL = 4  # tokens around and between the texts
SAMPLE = 5000  # rows that are read, evenly spaced
SHARE = 0.99  # of the rows are read whole,
LONGEST = 256  # unless they are longer; a step on 512 tokens takes eight times as long as one on 64


def tokens_in(text: str | list[str]) -> int:
    """About how many tokens a text, or a tagged sentence, has; rarely fewer than a tokenizer makes of it.

    Of a long text no more than `LONGEST` are counted.

    Example:
        >>> tokens_in("A gripping film!"), tokens_in("很好看")
        (5, 3)
    """
    whole = text if isinstance(text, str) else " ".join(text)
    return sum(1 for _ in islice(PIECE.finditer(whole), LONGEST))


def usual_length(task: Task) -> int:
    """Tokens that hold nearly all training examples of a task, a multiple of 8, at most `LONGEST`."""
    rows = task.train.select(range(0, len(task.train), math.ceil(len(task.train) / SAMPLE)))
    texts = [rows[name][:] for name in KINDS[task.kind].fields if name in rows.column_names]
    counts = sorted(SPECIAL + sum(map(tokens_in, row)) for row in zip(*texts, strict=True))
    return min(math.ceil(counts[math.ceil(SHARE * len(counts)) - 1] / 8) * 8, LONGEST)
