"""What docs/recommender.md says of ratios and their intervals, run by run, without the package.

A run is a dictionary: `dataset`, `form`, `ratio`, `standing`, and the scores `bilstm`, `linear`, `trivial`, `alone`,
`teacher` (NaN: not known). Ridge regression is least squares with a row more for each column.
"""

from __future__ import annotations

import math
from statistics import median

import numpy as np

SIMPLE = ("bilstm", "linear", "trivial")
ITSELF = ("alone", "linear", "trivial")


def gaps(run):
    """1 − score / teacher's score of each model without a teacher, between −1 and 1."""
    names = {*SIMPLE, *ITSELF}
    known = {name: 1 - run[name] / run["teacher"] if run["teacher"] > 0 else math.nan for name in names}
    found = {name: gap if math.isnan(gap) else min(max(gap, -1), 1) for name, gap in known.items()}
    if math.isnan(found["linear"]):
        found["linear"] = found["bilstm"]
    return found


def learned(runs):
    """Runs that have a ratio, with their gaps and weight."""
    return weighted([{**run, **gaps(run)} for run in runs if not math.isnan(run["ratio"])])


def weighted(past):
    """With the weight of each run."""
    return [{**run, "weight": 1 / (sum(each["dataset"] == run["dataset"] for each in past) + 5)} for run in past]


class Line:
    """A line through runs, with these gaps and the least spread c."""

    def __init__(self, past, names, c):
        self.names = names
        known = {name: [run[name] for run in past if not math.isnan(run[name])] for name in names}
        self.usual = {name: median(values) if values else 1.0 for name, values in known.items()}
        self.forms, self.c = sorted({run["form"] for run in past}), c
        datasets = len({run["dataset"] for run in past})
        weights = np.array([run["weight"] / self.unit(run) ** 2 for run in past])
        weights /= weights.sum()
        x = np.array([self.columns(run) for run in past])
        self.middle = (weights[:, None] * x).sum(axis=0)
        self.scale = np.sqrt((weights[:, None] * (x - self.middle) ** 2).sum(axis=0))
        self.scale[self.scale < 1e-9] = 1
        x, ratios = (x - self.middle) / self.scale, np.array([run["ratio"] for run in past])
        self.level = sum(weights * ratios)
        roots, penalty = np.sqrt(weights), np.sqrt(0.3 / datasets) * np.eye(x.shape[1])
        rows = np.concatenate([x * roots[:, None], penalty])
        self.slopes = np.linalg.lstsq(rows, [*(roots * (ratios - self.level)), *np.zeros(len(penalty))])[0]
        self.rows, self.datasets = rows, datasets

    def known(self, run, name):
        return self.usual[name] if math.isnan(run[name]) else run[name]

    def columns(self, run):
        own = [run["standing"], *(self.known(run, name) for name in self.names)]
        return [*own, *(value * (run["form"] == form) for form in self.forms for value in (1.0, *own))]

    def unit(self, run):
        return math.hypot(self.c, max(self.known(run, self.names[0]), 0.02)) / math.hypot(self.c, 1)

    def x(self, run):
        return (np.array(self.columns(run)) - self.middle) / self.scale

    def ratio(self, run):
        return self.level + self.x(run) @ self.slopes

    def spread(self, run):
        """The unit, and more of it the further away."""
        x = self.x(run)
        return self.unit(run) * math.sqrt(1 + x @ np.linalg.inv(self.rows.T @ self.rows) @ x / self.datasets)


def quantile(values, weights, level):
    """Each value stands at the middle of its weight; between two of them a straight line."""
    rows = sorted(zip(values, weights, strict=True))
    total = sum(weights)
    middles = [(sum(w for _, w in rows[:row]) + rows[row][1] / 2) / total for row in range(len(rows))]
    for row in range(1, len(rows)):
        if middles[row - 1] <= level <= middles[row]:
            share = (level - middles[row - 1]) / (middles[row] - middles[row - 1])
            return rows[row - 1][0] + share * (rows[row][0] - rows[row - 1][0])
    return rows[0][0] if level < middles[0] else rows[-1][0]


def checked(past, gap_names, c):
    """How probable left-out datasets are, the line, σ of each form, and how many of it an interval is wide."""
    line, names = Line(past, gap_names, c), sorted({run["dataset"] for run in past})
    if len(names) < 3:
        return 0.0, line, {"": math.nan}, math.nan
    errors = []
    for run in past:
        other = Line([each for each in past if each["dataset"] != run["dataset"]], gap_names, c)
        errors.append((run["ratio"] - other.ratio(run)) / other.spread(run))
    rows = [*zip(past, errors, strict=True)]

    def mean_square(some):
        return sum(run["weight"] * error**2 for run, error in some) / sum(run["weight"] for run, _ in some)

    sigma = {"": math.sqrt(mean_square(rows))}
    for form in line.forms:
        own = [row for row in rows if row[0]["form"] == form]
        count = len({run["dataset"] for run, _ in own})
        sigma[form] = math.sqrt((count * mean_square(own) + 3 * mean_square(rows)) / (count + 3))
    weights = [run["weight"] for run in past]
    probable = [
        -(((error / sigma[run["form"]]) ** 2) / 2) - math.log(sigma[run["form"]] * line.spread(run))
        for run, error in rows
    ]
    distances = [abs(error) / sigma[run["form"]] for run, error in rows]
    of_runs = quantile(distances, weights, 0.8)
    of_each = [[far for far, run in zip(distances, past, strict=True) if run["dataset"] == name] for name in names]
    of_datasets = sorted(np.quantile(own, 0.8) for own in of_each)
    of_every = max(np.quantile(own, 0.6) for own in of_each)
    place = min(math.ceil((len(names) + 1) * 0.8), len(names))
    likely = sum(w * p for w, p in zip(weights, probable, strict=True)) / sum(weights)
    return likely, line, sigma, max(of_runs, of_datasets[place - 1], of_every)


def ratios(past, asked):
    """Low, middle and high ratio of a candidate."""
    asked, names = {**asked, **gaps(asked)}, SIMPLE
    known = [run for run in past if not math.isnan(run["alone"])]
    if not math.isnan(asked["alone"]) and len({run["dataset"] for run in known}) >= 3:
        past, names = weighted(known), ITSELF
    _, line, sigma, widening = max((checked(past, names, c) for c in (0.03, 0.1, 0.3, 10.0)), key=lambda each: each[0])
    half = widening * sigma.get(asked["form"], sigma[""]) * line.spread(asked)
    return [line.ratio(asked) - half, line.ratio(asked), line.ratio(asked) + half]
