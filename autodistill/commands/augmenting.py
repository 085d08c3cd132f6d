"""`autodistill augment`: what a policy makes of some training examples, so that a person can judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autodistill.commands.request import check, options_from, together
from autodistill.commands.show import Row
from engine.base.errors import InputError
from engine.base.options import RunOptions
from engine.base.progress import Reporter

COLUMNS = ["", "original", "augmented"]
PLAIN = "vanilla_kd"
"""The preset that the policy is put into; nothing else of it is used."""
TEXTS = ("text", "text_pair", "question", "context")


@dataclass(frozen=True)
class Sample:
    """What somebody typed.

    Args:
        policy: Operators in their order, such as `random+mixup`.
        count: Number of examples.
        columns: Keyword arguments of `load_task`.
        options: Fields of `RunOptions`.
    """

    data: str
    policy: str
    sets: Sequence[str] = ()
    count: int = 10
    seed: int = 0
    columns: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def augment(sample: Sample, reporter: Reporter) -> list[dict[str, Any]]:
    """Originals, drawn by the seed, and what becomes of them.

    Returns:
        One dict each: `original`, `augmented`; with mixup also `partner` and `share`, the weight of the
        first of the two.

    Raises:
        InputError: The policy is none, does not suit the data, or needs what is not here.
    """
    (pipeline, task), options = together(
        lambda: check(PLAIN, [f"augmentation={sample.policy}", *sample.sets], sample.data, sample.columns),
        lambda: options_from(RunOptions, sample.options),
    )
    assert task is not None
    if not pipeline.augmentation.operators:
        raise InputError.of("--policy", "it has no operators", sample.policy, ("random+mixup",))

    import numpy as np  # with torch below, after what needs neither

    from engine.augment.policy import policy_for
    from engine.base.machine import machine_for

    policy = policy_for(pipeline.augmentation, task, machine_for(options, reporter))
    assert policy is not None
    generator = np.random.default_rng(sample.seed)
    rows = [dict(task.train[int(place)]) for place in generator.permutation(len(task.train))[: sample.count]]
    made = policy(rows, task.kind, generator)
    found = [
        {"original": original, "augmented": changed}
        for original, changed in zip(rows, made.rows, strict=False)
    ]
    if made.shares is not None:
        for pair, partner, share in zip(found, made.rows[len(rows) :], made.shares.tolist(), strict=True):
            pair |= {"partner": partner, "share": share}
    return found


def sample_rows(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row an example, under `COLUMNS`."""
    return [
        [str(number), as_text(each["original"]), _made(each)] for number, each in enumerate(found, start=1)
    ]


def _made(each: Mapping[str, Any]) -> str:
    first = as_text(each["augmented"])
    if "share" not in each:
        return first
    share = each["share"]
    return f"{share:.2f} of: {first}\n{1 - share:.2f} of: {as_text(each['partner'])}"


def as_text(row: Mapping[str, Any]) -> str:
    """The texts of a row, the second one behind a bar; of a tagged sentence its words.

    Example:
        >>> as_text({"text": "One.", "text_pair": "Two.", "label": 1})
        'One. | Two.'
    """
    if "tokens" in row:
        return " ".join(row["tokens"])
    return " | ".join(row[name] for name in TEXTS if name in row)
