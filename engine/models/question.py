"""What a causal language model is asked, so that it teaches without having been fine-tuned.

Decided here: which models are asked. It is those that were saved as causal language models, where a prompt or label
words are given, or fine-tuning is ruled out. The others get a head and are fine-tuned, as all models are.

The prompt that is used where none is given shows the label words, for a model that has never seen the task knows them
from nowhere else; but not dozens of them, which would take longer to read than the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.base.errors import InputError, Problem, listed, shown, unknown_name
from engine.base.hub import CONFIG, local_snapshot, place_of
from engine.base.options import FineTuning
from engine.base.text import expanded
from engine.data.task import Task
from engine.models.files import read_object
from engine.pipeline.pipeline import Pipeline

MOST_WORDS = 20  # that a prompt of ours shows
ONE_TEXT, TWO_TEXTS = "Text: {text}\n", "Text 1: {text}\nText 2: {text_pair}\n"
CHOICE, NO_CHOICE = "Which of these fits best: {labels}?\nAnswer:", "Answer:"


@dataclass(frozen=True)
class Question:
    """What a language model is asked of each text, and by which words it answers.

    Args:
        prompt: With `{text}`, and `{text_pair}` where there are two.
        words: Of each label, in the order of the task's.
        calibrated: Whether what it says of texts without content is taken off.
    """

    prompt: str
    words: tuple[str, ...]
    calibrated: bool = True

    def in_words(self, labels: Sequence[str]) -> str:
        """The same as a sentence for people."""
        pairs = (
            label if label == word else f"{label} as {word}" for label, word in zip(labels, self.words, strict=True)
        )
        return f"it is asked {self.prompt!r} and answers {listed(pairs)}"


def is_asked(name: str, fine_tuning: FineTuning, role: str = "teacher") -> bool:
    """Whether a model answers a prompt in place of being fine-tuned; only what is written about it is read."""
    if fine_tuning.when == "always" or not (fine_tuning.asks or fine_tuning.when == "never"):
        return False
    if ":" in name and not expanded(name).is_dir():  # `scratch:…` and the like
        return False
    return is_causal(name, role)


def is_causal(name: str, role: str) -> bool:
    """Whether a model was saved as a causal language model."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES  # seconds

    try:
        architectures = read_object(local_snapshot(name, role) / CONFIG).get("architectures")
    except ValueError:  # which is said where the model is looked at
        return False
    known = {*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()}
    return isinstance(architectures, list) and any(each in known for each in architectures if isinstance(each, str))


def question_for(task: Task, fine_tuning: FineTuning) -> Question:
    """What is asked of a task's texts: as it was said, or what is usual.

    Raises:
        InputError: The prompt, the words or the task are unsuitable; with every reason.
    """
    from engine.tokens.prompt import prompt_problems

    if task.kind != "classification":
        what = "a language model is asked for the words of labels, and only classification has some"
        raise InputError.of("--prompt", what, task.kind.replace("_", " "), ("classification",))
    problems: list[Problem] = []
    given = dict(_given_words(fine_tuning.label_words or "", task.labels, problems))
    words = tuple(given.get(label, label.replace("_", " ")) for label in task.labels)
    for word in sorted({word for word in words if words.count(word) > 1}):
        labels = (label for label, each in zip(task.labels, words, strict=True) if each == word)
        problems.append(Problem("--label-words", "these labels have the same word", f"{listed(labels)}: {word!r}"))
    prompt = (TWO_TEXTS if task.pair else ONE_TEXT) + (CHOICE if len(words) <= MOST_WORDS else NO_CHOICE)
    if fine_tuning.prompt is not None:
        prompt = fine_tuning.prompt.replace("\\n", "\n")
        problems += prompt_problems(prompt, task.pair)
    if problems:
        raise InputError(problems)
    return Question(prompt.replace("{labels}", ", ".join(words)).rstrip(" "), words, not fine_tuning.uncalibrated)


def _given_words(text: str, labels: Sequence[str], problems: list[Problem]) -> Iterator[tuple[str, str]]:
    """Labels and their words as they are typed, `positive=great,negative=not good, bad`; problems are added."""
    seen = set()
    for piece in re.split(r",(?=[^,=]*=)", text) if text else ():
        label, _, word = (part.strip() for part in piece.partition("="))
        if label not in labels:
            problems.append(unknown_name("--label-words", "this dataset has no such label", label, labels))
        elif not word:
            problems.append(Problem("--label-words", "a label needs a word", shown(piece), (f"{label}=word",)))
        elif label in seen:
            problems.append(Problem("--label-words", "a label has two words", label))
        else:
            seen.add(label)
            yield label, word


def asking_problems(pipeline: Pipeline, role: str) -> Iterator[Problem]:
    """What no model that is asked can do, in a pipeline: it gives answers alone, and to whole prompts."""
    intermediate = pipeline.intermediate.kind
    if intermediate != "none" and pipeline.weights.intermediate > 0 and role == "teacher":
        what = "the teacher is asked in words, and its layers read a prompt that the student never sees"
        remedy = (
            "--pipeline vanilla_kd learns from its answers; --fine-tune always gives it a head, and its layers teach."
        )
        yield Problem("intermediate.kind", what, f"'{intermediate}'", ("none",), remedy)
    if "mixup" in pipeline.augmentation.kinds:
        what = "the teacher is asked in words, and mixed texts cannot stand in a prompt"
        yield Problem("augmentation.operators", what, "'mixup'", ("contextual", "random", "back_translation"))
    if pipeline.team.kind == "assistants":
        what = "assistants are trained one by another, and a model that is asked in words is not trained"
        yield Problem("team.kind", what, "'assistants'", ("average", "weighted", "stochastic"))


def no_language_model(name: str, role: str, fine_tuning: FineTuning) -> InputError:
    """What is said where a prompt is given, and no model is asked."""
    if fine_tuning.when == "always":
        what = "a model that is asked in words is not fine-tuned"
        return InputError.of("--fine-tune", what, "always", ("auto", "never"), "Or leave prompt and label words out.")
    what = "a prompt and label words are for a model that was saved as a causal language model, and this one was not"
    return InputError.of(place_of(role), what, repr(name))
