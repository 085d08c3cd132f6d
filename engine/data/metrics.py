"""Which scores a task can have, and which one counts; their computation is `engine.evaluation.scores`'s.

Decided here: accuracy for classes, with balanced accuracy and macro F1 beside it, in which every class weighs the same;
F1 of the rarer of two classes unless another one is named; micro F1 where a text has several labels; Spearman for
numbers, seqeval's F1 for tags in the B-/I- scheme and token accuracy for others, SQuAD's F1 for answers; where
questions may have none, those of both parts, too. A function of the user's own (`own_metric`) may count, which only the
user can name, never a dataset: it is code.
"""

import re
from collections.abc import Sequence

from engine.base.errors import InputError, counted, unknown_name
from engine.data.own_metric import ASKED, function_of, is_own
from engine.data.task import HAS_ANSWER, NO_ANSWER_ACCURACY, TaskKind

ROLES = {
    "teacher": "teacher",
    "student": "student",
    "student_alone": "student alone",
    "bilstm": "Bi-LSTM",
    "linear": "linear model",
}
"""Role of a model → what it is called."""
Scores = dict[str, dict[str, float]]
"""Held-out set → metric → score."""
ALIASES = {
    "acc": "accuracy",
    "matthews_correlation": "mcc",
    "matthews": "mcc",
    "macro_f1": "f1_macro",
    "micro_f1": "f1_micro",
    "exact_match_ratio": "subset_accuracy",
    "pearsonr": "pearson",
    "spearmanr": "spearman",
    "em": "exact_match",
}


def fitting_metrics(kind: TaskKind, labels: Sequence[str]) -> tuple[str, ...]:
    """The scores that are reported for a task, the default one first.

    Example:
        >>> fitting_metrics("classification", ("no", "yes"))
        ('accuracy', 'balanced_accuracy', 'f1', 'f1_macro', 'mcc')
        >>> fitting_metrics("tagging", ("O", "B-person", "I-person"))
        ('seqeval_f1', 'accuracy')
    """
    if kind == "classification":
        return ("accuracy", "balanced_accuracy", *["f1"] * (len(labels) == 2), "f1_macro", "mcc")
    if kind == "multi_label":
        return ("f1_micro", "f1_macro", "subset_accuracy")
    if kind == "tagging":
        return ("seqeval_f1", "accuracy") if marks_spans(labels) else ("accuracy",)
    return ("spearman", "pearson") if kind == "regression" else ("squad_f1", "exact_match")


def with_parts(metrics: tuple[str, ...]) -> tuple[str, ...]:
    """The scores of questions that may have no answer: those of all, then of both parts (SQuAD 2.0).

    A function of the user's own is called with all questions alone.

    Example:
        >>> with_parts(("exact_match", "squad_f1"))[2:]
        ('has_answer_exact_match', 'has_answer_f1', 'no_answer_accuracy')
    """
    return (*metrics, *(HAS_ANSWER[name] for name in metrics if name in HAS_ANSWER), NO_ANSWER_ACCURACY)


def marks_spans(labels: Sequence[str]) -> bool:
    """Whether tags mark spans: B- and I- (also E- and S-) before a type, O outside.

    Example:
        >>> marks_spans(("O", "B-person", "I-person")), marks_spans(("NOUN", "VERB"))
        (True, False)
    """
    return any(label != "O" for label in labels) and all(re.fullmatch(r"O|[BIES]-.+", label) for label in labels)


def choose_metrics(kind: TaskKind, labels: Sequence[str], wanted: str | None, place: str = ASKED) -> tuple[str, ...]:
    """The scores of a task, the wanted one first.

    Args:
        wanted: The score that shall count; spaces and hyphens may stand for underscores. Or a function, which is then
            reported before the usual ones.
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
    if is_own(wanted) and place == ASKED:
        function_of(wanted, place)
        return (wanted, *fitting)
    name = re.sub(r"[\s-]+", "_", wanted.strip().lower())
    name = ALIASES.get(name, name)
    if name not in fitting:
        classes = f" of {len(labels)} classes" if kind == "classification" else ""
        what = f"no metric of {kind.replace('_', ' ')}{classes}"
        raise InputError(unknown_name(place, what, wanted, fitting))
    return (name, *(metric for metric in fitting if metric != name))


def positive_class(
    labels: Sequence[str], counts: Sequence[int], wanted: str | None, published: bool
) -> tuple[int, str]:
    """The index of the class that `f1` is of, and why.

    Args:
        counts: Rows of each class before any are held out or sampled; of two the rarer one is positive, of equal ones
            the second.
        wanted: The name of the class that was asked for.
        published: Whether the rows are a benchmark's, whose F1 is of the second class (GLUE).

    Raises:
        InputError: There is no such class, or there are not two.

    Example:
        >>> positive_class(("ham", "spam"), (95, 5), None, False), positive_class(("bad", "ok"), (5, 95), None, False)
        ((1, 'the rarer one'), (0, 'the rarer one'))
    """
    if wanted is None and (published or len(labels) != 2):
        return 1, "as in the benchmark"
    if wanted is None:
        return int(counts[0] >= counts[1]), "the second one" if counts[0] == counts[1] else "the rarer one"
    if len(labels) != 2:
        raise InputError.of("--positive", "only where there are two classes one is positive", f"{len(labels)} classes")
    if wanted not in labels:
        raise InputError(unknown_name("--positive", "no such class", wanted, labels))
    return labels.index(wanted), "as named"


def with_interval(value: float, bounds: Sequence[float] | None) -> str:
    """A score with its interval, where that is known.

    Example:
        >>> with_interval(0.5, [0.4, 0.6]), with_interval(0.5, None)
        ('0.5000 (0.400 to 0.600)', '0.5000')
    """
    return f"{value:.4f} ({bounds[0]:.3f} to {bounds[1]:.3f})" if bounds else f"{value:.4f}"


def examples_in_words(train: int, unlabelled: int) -> str:
    """How many examples a student learns from.

    Example:
        >>> examples_in_words(300, 0), examples_in_words(300, 2_700)
        ('300 training examples', '300 training examples and 2,700 without labels')
    """
    more = f" and {unlabelled:,} without labels" if unlabelled else ""
    return f"{counted(train, 'training example')}{more}"
