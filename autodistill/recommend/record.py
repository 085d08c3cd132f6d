"""The record of a recommendation: what was asked, what is suggested, and how far it can be trusted.

It is written as recommendation.json; `autodistill run` takes its picks from there. Records of older layouts are
brought up to date when they are read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from autodistill.recommend.request import Limits, Request
from engine.base.errors import InputError
from engine.base.files import unsealed, write_sealed
from engine.base.html import table
from engine.base.options import FineTuning, Precision
from engine.base.text import read_text
from engine.data.task import TaskKind
from engine.pipeline.pipeline import Pipeline
from engine.pipeline.team import SingleTeacher
from engine.pipeline.training import Training
from engine.run.layouts import upgraded_pipeline
from engine.run.result import Member, Record

if TYPE_CHECKING:
    from pandas import DataFrame

RECOMMENDATION_FILE = "recommendation.json"
RENAMED = {"place": "standing", "baseline_score": "bilstm_score", "baseline_agreement": "mean_rank_agreement"}
"""Key of layout 1, where a pipeline's team stood under `teacher`, its kind under `policy` → key of today."""

WEAK_ORDER = 0.2
"""A rank correlation below it: four pairs of runs in ten or more stand the wrong way round."""
SINGLE = SingleTeacher().model_dump()
"""The team of a pipeline whose teacher teaches alone."""


class Entrant(Protocol):
    """What may be run: a student and a pipeline, with the key of that one, and in a few words."""

    @property
    def student(self) -> str: ...
    @property
    def pipeline(self) -> Mapping[str, Any]: ...
    @property
    def key(self) -> str: ...
    @property
    def words(self) -> str: ...


class Pick(Record):
    """One suggested run."""

    rank: int
    """The number by which it is run. The picks have the first ones; those of the front that are no picks follow."""
    student: str
    pipeline: dict[str, Any]
    """With every default; the length of texts and the learning rate are settled by the run, which knows its models."""
    key: str
    """Of the pipeline."""
    standing: float
    """In the predicted order of all pipelines: standard deviations above the middle; equal ones are tied."""
    percentile: float | None = None
    """Its rank from below among the candidates within the limits, as a share, 0 to 1; tied ones share their mean.

    None in records of before.
    """
    ratio: float
    """Predicted distillation ratio."""
    ratio_low: float | None
    """Lower end of its 80 % interval; None where past datasets are too few to give one."""
    ratio_high: float | None
    seconds: float
    """Predicted: the student's training, and what is made ready before it: signals, a language model, a team."""
    contributions: dict[str, float]
    """Component → how much its choice adds to the standing, compared with its alternatives."""
    unseen: list[str]
    """Components whose kind no past run has."""

    @property
    def words(self) -> str:
        """The pipeline in a few words."""
        return in_words(self.pipeline)

    @property
    def by_team(self) -> bool:
        """Whether several teachers teach."""
        return bool(self.pipeline.get("team", SINGLE)["kind"] != SINGLE["kind"])


class StudentFacts(Record):
    """What a student will cost to serve, and what it reaches without a teacher, measured."""

    name: str
    parameters: int
    size_mb: float
    latency_ms: float
    throughput: float
    student_alone_score: float | None = None
    """None: measuring it would have taken too long; in records of before not known."""


class Recommendation(Record):
    """What to run on a dataset."""

    layout: Literal[2] = 2
    data: str
    columns: dict[str, Any]
    task: str
    task_kind: TaskKind
    metric: str
    split: str | None = None
    """The held-out set that the teacher's and the members' scores are of; in records of before not known."""
    dataset_fingerprint: str
    train_examples: int
    unlabelled_examples: int = 0
    teacher: str
    teacher_score: float
    teacher_parameters: int
    teacher_size_mb: float
    bilstm_score: float | None
    """Of a small Bi-LSTM on the gold labels."""
    fine_tuning: FineTuning = FineTuning()
    """How the teacher was fine-tuned; with `precision` what a run must repeat, or it would train another teacher."""
    precision: Precision = "auto"
    """As it was asked for."""
    int8_teacher: bool = False
    training: Training = Training()
    """What was set of the training of all pipelines. Records of before do not know this and the next three."""
    limits: Limits = Limits()
    description: str = ""
    vectors: str = "glove"
    members: list[Member]
    """Further teachers of the teams that were compared."""
    students: list[StudentFacts]
    predictor: str
    features: list[str] | None
    """Feature sets of datasets that the predictor uses; None where it does not choose any."""
    meta_data: list[str]
    past_runs: int
    past_datasets: list[str]
    agreement: float | None
    """Rank correlation of the predictor on past datasets when each is left out, mean; None: the runs cannot tell."""
    agreement_datasets: int | None = None
    """Past datasets that this is the mean of; None in records of before."""
    mean_rank_agreement: float | None
    """The same of the mean rank of exact configurations; None too where that is the predictor."""
    agreement_pair: str = ""
    """The student ← teacher whose runs these are of, as for one student; empty: of all runs."""
    candidates: int
    """Pipelines that were compared, those that a limit rules out not counted."""
    outside: bool = False
    """Whether hardly any past run is like them (`experience`); in records of before not known."""
    picks: list[Pick]
    """In the order of preference; where members are named, the best team is one of them, however high it stands."""
    pareto: list[Pick]
    """Runs than which none is both better and cheaper, the cheapest first; one that is a pick, too, has its rank."""
    nearest: dict[str, float]
    """Past dataset → similarity of its embedding, −1 to 1."""
    warnings: list[str]

    def write(self, folder: Path) -> Path:
        """Writes the record; gives its file."""
        path = folder / RECOMMENDATION_FILE
        write_sealed(path, self.model_dump(mode="json"))
        return path

    @classmethod
    def read(cls, path: Path) -> Recommendation:
        """The record in a file; an InputError where it is absent, or none of a recommendation."""
        if not os.path.lexists(path):
            hint = "Run `autodistill recommend` first."
            raise InputError.of(str(path), "there is no recommendation", "", (), hint)
        text = read_text(path)
        try:
            return cls.model_validate(_upgraded(unsealed(json.loads(text))))
        except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:  # of JSON, or any part
            what, reason = "not the record of a recommendation", str(error).partition("\n")[0]
            raise InputError.of(str(path), what, reason) from error

    @property
    def sure(self) -> bool:
        """Whether the order is worth following without a trial: it was on past datasets, which are like this one."""
        return self.agreement is not None and self.agreement >= WEAK_ORDER and not self.outside

    def to_frame(self) -> DataFrame:
        """The picks as a DataFrame, a row each, with every setting of their pipelines in a column."""
        from pandas import DataFrame

        from autodistill.history.table import flat

        names = ("rank", "student", "words", "percentile", "ratio", "ratio_low", "ratio_high", "seconds")
        known = ({name: getattr(pick, name) for name in names} for pick in self.picks)
        return DataFrame([own | flat(pick.pipeline) for own, pick in zip(known, self.picks, strict=True)])

    def _repr_html_(self) -> str:
        """As a notebook shows it: each pick with what it will give and cost."""
        rows = []
        for pick in self.picks:
            ratio = f"{pick.ratio:.3f}"
            if pick.ratio_low is not None and pick.ratio_high is not None:
                ratio += f" ({pick.ratio_low:.3f} to {pick.ratio_high:.3f})"
            rows.append([str(pick.rank), pick.student, pick.words, ratio, f"{pick.seconds:,.0f}"])
        head = ["pick", "student", "pipeline", "predicted ratio (80 %)", "seconds"]
        return table(head, rows, f"Pipelines for {self.task}, teacher {self.teacher}", self.warnings)

    def request(self) -> Request:
        """What it answers; data and models by their names."""
        same = ("data", "columns", "teacher", "fine_tuning", "limits", "description", "predictor", "vectors")
        names = {role: tuple(each.name for each in getattr(self, role)) for role in ("students", "members")}
        more = {
            "meta_data": tuple(self.meta_data),
            "options": {"precision": self.precision, "int8_teacher": self.int8_teacher},
        }
        return Request.model_validate({**{name: getattr(self, name) for name in same}, **names, **more})

    @property
    def by_rank(self) -> dict[int, Pick]:
        """Rank → pick, also of the front; where both have a rank, as in records of before, that of the picks."""
        return {each.rank: each for each in (*self.pareto, *self.picks)}

    def chosen(self, pick: int | None, top: int | None) -> list[Pick]:
        """So many picks, the best first, or that of a rank, also of the front; the first where neither is given.

        Raises:
            InputError: There are not so many.
        """
        known = self.picks if top else self.by_rank
        option, what, number = ("--top", "not so many picks", top) if top else ("--pick", "no such pick", pick or 1)
        if number > len(known):
            raise InputError.of(option, what, number, (f"1 to {len(known)}",))
        return self.picks[:number] if top else [self.by_rank[number]]


def _upgraded(record: Any) -> Any:
    """A record in today's layout."""
    if not isinstance(record, dict) or "layout" in record:
        return record
    picks = {name: [_upgraded_pick(pick) for pick in record.get(name, ())] for name in ("picks", "pareto")}
    return {RENAMED.get(key, key): value for key, value in record.items()} | picks


def _upgraded_pick(pick: Mapping[str, Any]) -> dict[str, Any]:
    """A pick of an older layout; its pipeline has another key now."""
    pipeline = upgraded_pipeline(pick["pipeline"])
    renamed = {RENAMED.get(key, key): value for key, value in pick.items()}
    return {**renamed, "pipeline": pipeline, "key": Pipeline.model_validate(pipeline).key}


def named(entrant: Entrant, students: Iterable[str]) -> str:
    """What is run, in words: its pipeline, and which student it is of where there are several."""
    return f"student {entrant.student}, {entrant.words}" if len({*students}) > 1 else entrant.words


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
    team = pipeline.get("team", SINGLE)
    if team["kind"] != SINGLE["kind"]:
        parts.append(f"team {_component_in_words(team)}")
    if schedule := pipeline.get("schedule"):  # of one that changes nothing nothing is said
        parts.append(_schedule_in_words(schedule))
    return ", ".join(parts)


def _component_in_words(spec: Mapping[str, Any]) -> str:
    names = ["alpha", "critic", "temperature", "candidates", "update"]
    if spec["kind"] == "emd":
        names.remove("temperature")  # of its layer weights, which nothing turns
    known = {name: spec[name] for name in names if spec.get(name) is not None}
    shown = [f"{name} {_value_in_words(value)}" for name, value in known.items() if value != 1.0 or name == "alpha"]
    return f"{spec['kind']} ({', '.join(shown)})" if shown else spec["kind"]


def _schedule_in_words(spec: Mapping[str, Any]) -> str:
    """Of the weights those that change.

    Example:
        >>> _schedule_in_words({"kind": "linear", "prediction": "falls", "hard_label": "stays"})
        'linear (prediction falls)'
    """
    changing = {name: value for name, value in spec.items() if name != "kind" and value != "stays"}
    return f"{spec['kind']} ({', '.join(f'{name} {_value_in_words(value)}' for name, value in changing.items())})"


def _value_in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value["kind"])
    return value if isinstance(value, str) else format(value, "g")
