"""SQuAD 2.0's evaluation, question by question, as paper and published script describe it (Rajpurkar et al. 2018)."""

from __future__ import annotations

import re
import string
from collections import Counter


def normalised(text: str) -> str:
    """Lower case, without punctuation, articles and more than one space."""
    kept = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def exact(gold: str, answer: str) -> float:
    return float(normalised(gold) == normalised(answer))


def f1(gold: str, answer: str) -> float:
    wanted, given = normalised(gold).split(), normalised(answer).split()
    if not wanted or not given:
        return float(wanted == given)  # of no answer, 1 where both are none
    common = sum((Counter(wanted) & Counter(given)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(given), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def evaluated(golds: list[list[str]], answers: list[str]) -> dict[str, float]:
    """Exact match and F1 of all questions, and of those with and without an answer, 0 to 1."""
    rows = []
    for gold, answer in zip(golds, answers, strict=True):
        accepted = [text for text in gold if normalised(text)] or [""]
        rows.append((bool(gold), max(exact(a, answer) for a in accepted), max(f1(a, answer) for a in accepted)))

    def mean(values: list[float]) -> float:
        return sum(values) / len(values) if values else 0.0

    return {
        "exact_match": mean([e for _, e, _ in rows]),
        "squad_f1": mean([f for _, _, f in rows]),
        "has_answer_exact_match": mean([e for has, e, _ in rows if has]),
        "has_answer_f1": mean([f for has, _, f in rows if has]),
        "no_answer_accuracy": mean([e for has, e, _ in rows if not has]),
    }


def best_score(golds: list[list[str]], texts: list[str], margins: list[float], metric: str) -> float:
    """The best score that any threshold gives: no answer where the margin is above it."""
    tried = [min(margins) - 1, *margins]
    return max(
        evaluated(golds, ["" if margin > each else text for text, margin in zip(texts, margins, strict=True)])[metric]
        for each in tried
    )
