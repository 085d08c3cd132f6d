"""Answers of question answering: pieces of a context, or that it holds none (SQuAD 2.0).

Decided here: an answer is the span with the largest sum of start and end logit over all windows of the row, at most
`MAX_ANSWER` tokens long. That there is none is said by an example's first token, where training puts what a window
lacks; of a row's windows the one that says it least counts (Devlin et al. 2019, section 4.3). Where questions may have
no answer, none is given when that score lies above the best span's by more than a threshold, which is chosen on the
rows that select, for the metric that decides; for one of the user's own, which need be no mean over rows, for SQuAD's
F1.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

if TYPE_CHECKING:
    from engine.tokens.examples import Encoded

MAX_ANSWER = 30  # tokens of the longest answer that is considered (Devlin et al. 2019)
NO_ANSWER = ""
"""The text of an answer that is none."""
ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)
SCORED = {"squad_f1": 0, "exact_match": 1}
"""Metric → its place in `agreement_with`."""


@dataclass(frozen=True)
class Spans:
    """The best span of each row, and how much likelier none is."""

    texts: list[str]
    margins: np.ndarray  # (rows,) score of no answer − that of the best span; ∞ where no window holds any context

    def answers(self, threshold: float | None) -> list[str]:
        """The texts; none where the margin is above a threshold."""
        if threshold is None:
            return self.texts
        pairs = zip(self.texts, self.margins.tolist(), strict=True)
        return [NO_ANSWER if margin > threshold else text for text, margin in pairs]

    def chances_of_none(self, threshold: float) -> list[float]:
        """How likely each row has no answer: 0.5 at the threshold, by the logistic function of the margin above it."""
        return [float(expit(margin - threshold)) for margin in self.margins]


def best_span(logits: np.ndarray) -> tuple[float, int, int]:
    """The span of at most `MAX_ANSWER` tokens with the largest start plus end logit (N, 2): its score, first and last.

    Example:
        >>> best_span(np.array([[0.0, 9.0], [5.0, 0.0], [1.0, 2.0]]))
        (9.0, 0, 0)
    """
    ends = np.concatenate([logits[:, 1], np.full(MAX_ANSWER - 1, -np.inf)])
    table = logits[:, :1] + np.lib.stride_tricks.sliding_window_view(ends, MAX_ANSWER)
    first, length = divmod(int(table.argmax()), MAX_ANSWER)
    return float(table[first, length]), first, first + length


def spans_of(encoded: Encoded, logits: Sequence[np.ndarray]) -> Spans:
    """The best span of each row over its windows.

    Shapes: logits (N, 2) of each example.
    """
    contexts = encoded.source["context"][:]
    best, none = [(-math.inf, 0, 0)] * len(contexts), np.full(len(contexts), math.inf)
    for example, values in enumerate(logits):
        row = encoded.rows[example]
        none[row] = min(none[row], float(values[0].sum()))
        inside = encoded.context_tokens(example)
        if len(inside) == 0:
            continue
        score, first, last = best_span(values[inside])
        if score > best[row][0]:
            starts, ends = encoded.starts[example], encoded.ends[example]
            best[row] = score, int(starts[inside[first]]), int(ends[inside[last]])
    texts = [context[begin:end].strip() for context, (_, begin, end) in zip(contexts, best, strict=True)]
    return Spans(texts, none - np.array([score for score, _, _ in best]))


def best_threshold(spans: Spans, gold: Sequence[Mapping[str, Any]], metric: str) -> float:
    """The margin above which a row is said to have no answer, with which these rows score best.

    Between two margins their middle; of several that score alike, the one nearest to 0. For a metric of the user's own
    it is that of SQuAD's F1.

    Example:
        >>> none, some = {"text": []}, {"text": ["Rome"]}
        >>> best_threshold(Spans(["Rome", "it", "a"], np.array([-4.0, 2.0, 3.0])), [some, none, none], "squad_f1")
        -1.0
    """
    which = SCORED.get(metric, SCORED["squad_f1"])
    gains = [  # of saying that there is none in place of the span
        agreement_with(each, NO_ANSWER)[which] - agreement_with(each, text)[which]
        for each, text in zip(gold, spans.texts, strict=True)
    ]
    finite = np.isfinite(spans.margins)
    margins, places = np.unique(spans.margins[finite], return_inverse=True)
    if not len(margins):
        return 0.0
    gained = np.bincount(places, weights=np.array(gains)[finite], minlength=len(margins))
    edges = np.concatenate([[margins[0] - 1], (margins[:-1] + margins[1:]) / 2, [margins[-1] + 1]])
    above = np.append(np.cumsum(gained[::-1])[::-1], 0.0)  # of all rows whose margin is above an edge
    best = edges[above >= above.max() - 1e-9]
    return float(best[np.abs(best).argmin()])


def agreement_with(accepted: Mapping[str, Any], answer: str) -> tuple[float, float]:
    """F1 of words and exact match of an answer, with the accepted answer that it agrees with best (SQuAD's rules)."""
    given, wanted = answer_words(answer), [answer_words(text) for text in accepted["text"] or [NO_ANSWER]]
    return max(_overlap(given, words) for words in wanted), float(given in wanted)


def answer_words(answer: str) -> list[str]:
    """What counts of an answer: its words, without articles and punctuation, in small letters."""
    return ARTICLES.sub(" ", answer.lower().translate(PUNCTUATION)).split()


def _overlap(given: list[str], wanted: list[str]) -> float:
    """F1 of the words of two answers; where one has none, whether both have none."""
    if not given or not wanted:
        return float(given == wanted)
    common = sum((Counter(given) & Counter(wanted)).values())
    return 2 * common / (len(given) + len(wanted))
