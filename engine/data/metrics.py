"""Which scores a task can have, and which one counts; their computation is `engine.evaluation.scores`'s.

Decided here: accuracy for classes, Spearman for numbers, seqeval's F1 for tags in the B-/I- scheme and token accuracy
for others, SQuAD's F1 for answers.
"""

import re
from collections.abc import Sequence

from engine.base.errors import InputError, unknown_name
from engine.data.task import TaskKind

Scores = dict[str, dict[str, float]]
"""Held-out set → metric → score."""
ALIASES = {
    "acc": "accuracy",
    "matthews_correlation": "mcc",
    "matthews": "mcc",
    "macro_f1": "f1_macro",
    "pearsonr": "pearson",
    "spearmanr": "spearman",
    "em": "exact_match",
}


def fitting_metrics(kind: TaskKind, labels: Sequence[str]) -> tuple[str, ...]:
    """The scores that are reported for a task, the default one first.

    Example:
        >>> fitting_metrics("classification", ("no", "yes"))
        ('accuracy', 'f1', 'mcc')
        >>> fitting_metrics("tagging", ("O", "B-person", "I-person"))
        ('seqeval_f1', 'accuracy')
    """
    if kind == "classification":
        return ("accuracy", "f1" if len(labels) == 2 else "f1_macro", "mcc")
    if kind == "tagging":
        return ("seqeval_f1", "accuracy") if marks_spans(labels) else ("accuracy",)
    return ("spearman", "pearson") if kind == "regression" else ("squad_f1", "exact_match")


def marks_spans(labels: Sequence[str]) -> bool:
    """Whether tags mark spans: B- and I- (also E- and S-) before a type, O outside.

    Example:
        >>> marks_spans(("O", "B-person", "I-person")), marks_spans(("NOUN", "VERB"))
        (True, False)
    """
    return any(label != "O" for label in labels) and all(re.fullmatch(r"O|[BIES]-.+", label) for label in labels)


def choose_metrics(
    kind: TaskKind, labels: Sequence[str], wanted: str | None, place: str = "--metric"
) -> tuple[str, ...]:
    """The scores of a task, the wanted one first.

    Args:
        wanted: The score that shall count; spaces and hyphens may stand for underscores.
        place: Who wants it.

    Raises:
        InputError: There is no such score, or it does not fit the task.

    Example:
        >>> choose_metrics("question_answering", (), "exact match")
        ('exact_match', 'squad_f1')
    """
    fitting = fitting_metrics(kind, labels)
    if wanted is None:
        return fitting
    name = re.sub(r"[\s-]+", "_", wanted.strip().lower())
    name = ALIASES.get(name, name)
    allowed = (*fitting, "f1_macro") if "f1" in fitting else fitting
    if name not in allowed:
        classes = f" of {len(labels)} classes" if kind == "classification" else ""
        what = f"no metric of {kind.replace('_', ' ')}{classes}"
        raise InputError(unknown_name(place, what, wanted, allowed))
    return (name, *(metric for metric in fitting if metric != name))


def with_interval(value: float, bounds: Sequence[float] | None) -> str:
    """A score with its interval, where that is known.

    Example:
        >>> with_interval(0.5, [0.4, 0.6]), with_interval(0.5, None)
        ('0.5000 (0.400 to 0.600)', '0.5000')
    """
    return f"{value:.4f} ({bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else f"{value:.4f}"
