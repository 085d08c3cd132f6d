"""What is said about a wrong pipeline: where, what, what is allowed, and all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.pipeline.sources import problems, written

WRONG = [
    # document, place, words of the message, allowed, suggestion
    ({"intermediate": {"kind": "mse", "alpha": 0.5}}, "intermediate.alpha", "mse has no alpha; it belongs to mi_alpha"),
    ({"mapping": {"kind": "skip", "temperature": 1.0}, "intermediate": {"kind": "mse"}}, "mapping.temperature", "emd"),
    ({"prediction": {"kind": "mse", "temperature": 2.0}}, "prediction.temperature", "it belongs to ce and kl"),
    ({"intermediate": {"kind": "mxe"}}, "intermediate.kind", "Did you mean mse?"),
    ({"intermediate": {"alpha": 0.5}}, "intermediate.kind", "this table has no kind; allowed: none, ce, mse"),
    ({"intermediate": "mse"}, "intermediate", "The name goes to intermediate.kind."),
    ({"intermediate": {"kind": "mi_alpha", "alpha": 2}}, "intermediate.alpha", "got 2; allowed: 0 to 1"),
    ({"training": {"warmup": 1.0}}, "training.warmup", "allowed: at least 0 and less than 1"),
    ({"training": {"epochs": 0}}, "training.epochs", "allowed: at least 1"),
    ({"training": {"learning_rate": 0}}, "training.learning_rate", "greater than 0"),
    ({"training": {"epochs": 1.5}}, "training.epochs", "a whole number is needed; got 1.5"),
    ({"training": {"batch_size": True}}, "training.batch_size", "a whole number is needed"),
    ({"training": [1]}, "training", "a table of keys is needed"),
    ({"weights": {"prediction": float("nan")}}, "weights.prediction", "a finite number is needed"),
    ({"trainin": {"epochs": 3}}, "trainin", "Did you mean training?"),
    ({"learning_rate": 1e-4}, "learning_rate", "Did you mean training.learning_rate?"),
    ({"team": {"kind": "stochastik"}}, "team.kind", "unknown kind"),
    ({"teacher": {"policy": "average", "members": ["a"]}}, "teacher", "called team now, and its key policy kind"),
    ({"mapping": {"kind": "emd", "layer_weights": "unifrm"}}, "mapping.layer_weights", "Did you mean uniform?"),
    ({"mapping": {"kind": "skip"}}, "pipeline", "intermediate and mapping go together"),
    ({"weights": {"prediction": 0.0}}, "pipeline", "nothing would be learned"),
    (
        {"intermediate": {"kind": "mi_alpha", "critic": {"kind": "transformer", "width": 20, "heads": 7}}},
        "intermediate.critic",
        "width must be a multiple of heads",
    ),
]


@pytest.mark.parametrize(("document", "place", "words"), WRONG, ids=lambda value: str(value)[:60])
def test_what_is_said_about_a_wrong_pipeline(document: dict[str, object], place: str, words: str) -> None:
    found = {problem.place: str(problem) for problem in problems(document)}
    assert words in found[place]


def test_all_problems_at_once_each_with_the_file(tmp_path: Path) -> None:
    text = """
    learning_rate = 0.1
    [intermediate]
    kind = "mi_alpha"
    alpha = 2
    critic = {kind = "mlp", heads = 4}
    [mapping]
    kind = "none"
    [prediction]
    kind = "cee"
    [training]
    epochs = -1
    """
    path = written(tmp_path, "pipeline.toml", text)
    places = [problem.place for problem in problems(path, ("training.batch_size=x",))]
    assert sorted(places) == sorted(
        [
            f"{path}: learning_rate",
            f"{path}: intermediate.alpha",
            f"{path}: intermediate.critic.heads",
            f"{path}: prediction.kind",
            f"{path}: training.epochs",
            "--set training.batch_size",
        ]
    )


def test_parts_that_do_not_fit_are_found_beside_wrong_values() -> None:
    file = {"intermediate": {"kind": "mse"}, "mapping": {"kind": "none"}, "training": {"epochs": 0}}
    assert [problem.place for problem in problems(file)] == ["training.epochs", "pipeline"]


def test_a_misspelled_section_brings_no_second_message() -> None:
    (problem,) = problems({"intermediat": {"kind": "mse"}, "mapping": {"kind": "skip"}})
    assert problem.suggestion == "intermediate"
