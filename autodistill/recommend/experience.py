"""Whether past runs are like the candidates: in the size of the data and of the models, in epochs, in how models start.

Decided here: what is too far from every past run for a ratio to rest on it. The order and the ratios take none of this
into account, so where it is too far, the interval is that of all past runs and a caveat says why.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from autodistill.ranking.past import MODELS
from engine.data.task import KINDS

FAR = 2.0
"""Outside: more than twice the largest past value, or less than half the smallest."""
EPOCHS = "training.epochs"
FROM_SCRATCH = "scratch:"


def unlike(candidates: pd.DataFrame, past: pd.DataFrame) -> dict[str, np.ndarray]:
    """What is outside of what past runs cover, in words → which candidates it concerns (n,)."""
    return dict([*_numbers(candidates, past), *_beginnings(candidates, past)])


def _numbers(candidates: pd.DataFrame, past: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Sizes and epochs; what is not known is not outside."""
    epochs = past[EPOCHS] if EPOCHS in past else pd.Series(np.nan, index=past.index)
    known = past.assign(**{EPOCHS: epochs.fillna(past.task_kind.map(lambda kind: KINDS[kind].epochs))})
    units = {"n_train": (1.0, "{} training example{}"), EPOCHS: (1.0, "{} epoch{}")}
    units |= {f"{role}_parameters": (1e6, f"{role} of {{}} M parameter{{}}") for role in MODELS}
    for name, (unit, words) in units.items():
        if name not in candidates:
            continue
        values, own = known[name].dropna().astype(float), candidates[name].astype(float)
        outside = (own > FAR * values.max()) | (own < values.min() / FAR)
        if outside.any():
            shown = " to ".join(_figure(value / unit) for value in dict.fromkeys((own.min(), own.max())))
            covered = f"past ones {_figure(values.min() / unit)} to {_figure(values.max() / unit)}"
            yield f"{words.format(shown, 's' * (shown != '1'))} ({covered})", outside.to_numpy()


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _beginnings(candidates: pd.DataFrame, past: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """Models from scratch, where none was before; and the other way round."""
    for role in MODELS:
        own, before = (runs[role].astype(str).str.startswith(FROM_SCRATCH) for runs in (candidates, past))
        if own.any() and not before.any():
            yield f"{role} from scratch (past ones are pretrained)", own.to_numpy()
        if not own.all() and before.all():
            yield f"pretrained {role} (past ones are from scratch)", ~own.to_numpy()
