"""The record of a recommendation: what was asked, what is suggested, and how far it can be trusted.

It is written as recommendation.json; `autodistill run` takes its picks from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.base.errors import InputError
from engine.base.files import write_text
from engine.data.task import TaskKind
from engine.run.result import Member

RECOMMENDATION_FILE = "recommendation.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Pick(_Record):
    """One suggested run."""

    rank: int
    student: str
    pipeline: dict[str, Any]
    """With every default, resolved for the task."""
    key: str
    """Of the pipeline."""
    place: float
    """In the predicted order of all pipelines: standard deviations above the middle."""
    ratio: float
    """Predicted distillation ratio."""
    ratio_low: float | None
    """Lower end of its 80 % interval; None where past datasets are too few to give one."""
    ratio_high: float | None
    seconds: float
    """Predicted: the teachers' signals, what a team does before the student's training, and this."""
    contributions: dict[str, float]
    """Component → how much its choice adds to the place, compared with its alternatives."""
    unseen: list[str]
    """Components whose kind no past run has."""


class StudentFacts(_Record):
    """What a student will cost to serve, measured."""

    name: str
    parameters: int
    size_mb: float
    latency_ms: float
    throughput: float


class Recommendation(_Record):
    """What to run on a dataset."""

    data: str
    columns: dict[str, Any]
    task: str
    task_kind: TaskKind
    metric: str
    dataset_fingerprint: str
    train_examples: int
    teacher: str
    teacher_score: float
    teacher_parameters: int
    teacher_size_mb: float
    bilstm_score: float | None
    """Of a small Bi-LSTM on the gold labels."""
    members: list[Member]
    """Further teachers of the teams that were compared."""
    students: list[StudentFacts]
    predictor: str
    features: list[str]
    """Feature sets of datasets that the predictor uses."""
    meta_data: list[str]
    past_runs: int
    past_datasets: list[str]
    agreement: float
    """Rank correlation of the predictor on past datasets when each is left out, mean."""
    mean_rank_agreement: float
    """The same of the mean rank of exact configurations."""
    candidates: int
    """Pipelines that were compared, those that a limit rules out not counted."""
    picks: list[Pick]
    pareto: list[Pick]
    """Runs than which none is both better and cheaper, the cheapest first."""
    nearest: dict[str, float]
    """Past dataset → similarity of its embedding, −1 to 1."""
    warnings: list[str]

    def write(self, folder: Path) -> Path:
        """Writes the record; gives its file."""
        path = folder / RECOMMENDATION_FILE
        write_text(path, self.model_dump_json(indent=2) + "\n")
        return path

    @classmethod
    def read(cls, path: Path) -> Recommendation:
        """The record in a file.

        Raises:
            InputError: It is absent, or no record of a recommendation.
        """
        try:
            return cls.model_validate_json(path.read_text("utf-8"))
        except FileNotFoundError:
            hint = "Run `autodistill recommend` first."
            raise InputError.of(str(path), "there is no recommendation", "", (), hint) from None
        except ValidationError as error:
            what, reason = "not the record of a recommendation", str(error).splitlines()[0]
            raise InputError.of(str(path), what, reason) from error

    def pick(self, rank: int) -> Pick:
        """The pick of a rank, counted from 1.

        Raises:
            InputError: There are not so many.
        """
        if not 1 <= rank <= len(self.picks):
            raise InputError.of("--pick", "no such pick", rank, (f"1 to {len(self.picks)}",))
        return self.picks[rank - 1]

    def top(self, count: int) -> list[Pick]:
        """The first picks.

        Raises:
            InputError: There are not so many.
        """
        if not 1 <= count <= len(self.picks):
            raise InputError.of("--top", "not so many picks", count, (f"1 to {len(self.picks)}",))
        return self.picks[:count]


def in_words(pipeline: Mapping[str, Any]) -> str:
    """A pipeline in a few words: its components, and the knobs that the search space turns.

    Example:
        >>> in_words({"intermediate": {"kind": "mi_alpha", "alpha": 0.9, "critic": {"kind": "mlp"}},
        ...           "mapping": {"kind": "emd"}, "prediction": {"kind": "ce", "temperature": 2.0},
        ...           "weights": {"hard_label": 1.0},
        ...           "augmentation": {"operators": [{"kind": "random"}, {"kind": "mixup"}]}})
        'mi_alpha (alpha 0.9, critic mlp), emd, ce (temperature 2), hard labels, random+mixup'
        >>> in_words({"intermediate": {"kind": "none"}, "mapping": {"kind": "none"},
        ...           "prediction": {"kind": "mse"}, "weights": {"hard_label": 0.0},
        ...           "team": {"kind": "autoskd", "candidates": 5, "update": "sswo"}})
        'mse, team autoskd (candidates 5, update sswo)'
    """
    parts = [_component_in_words(pipeline[name]) for name in ("intermediate", "mapping", "prediction")]
    if parts[:2] == ["none", "none"]:
        parts = parts[2:]
    if pipeline["weights"]["hard_label"]:
        parts.append("hard labels")
    if stack := [operator["kind"] for operator in pipeline.get("augmentation", {}).get("operators", ())]:
        parts.append("+".join(stack))
    team = pipeline.get("team", {"kind": "single"})
    if team["kind"] != "single":
        parts.append(f"team {_component_in_words(team)}")
    return ", ".join(parts)


def _component_in_words(spec: Mapping[str, Any]) -> str:
    names = ("alpha", "critic", "temperature", "candidates", "update")
    known = {name: spec[name] for name in names if spec.get(name) is not None}
    if spec["kind"] == "emd":
        known.pop("temperature", None)  # of its layer weights, which nothing turns
    shown = [
        f"{name} {_value_in_words(value)}" for name, value in known.items() if value != 1.0 or name == "alpha"
    ]
    return f"{spec['kind']} ({', '.join(shown)})" if shown else spec["kind"]


def _value_in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value["kind"])
    return value if isinstance(value, str) else format(value, "g")
