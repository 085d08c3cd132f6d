"""Makes meta_data/prior.json: what the learning curves of the study teach a search.

    python scripts/fit_curves.py [TABLES] [--least 5]

Minutes. Whoever adds runs to the study, or changes what a search believes, runs it again.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import asdict, replace
from datetime import date
from importlib.metadata import version

from autodistill.replay import Replay
from autodistill.search.learning import learned, of_students
from meta_data import PRIOR


def main() -> None:
    """Reads the runs, learns, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="?", default="study", help="folder of a study's tables; default: the study")
    parser.add_argument("--least", type=int, default=5, help="pipelines of a cell that is learned from")
    given = parser.parse_args()
    replay = Replay.read(given.tables)
    cells = [cell for cell in replay.cells if len(replay.pipelines(cell)) >= given.least]
    curves = {cell: replay.curves_of(cell) for cell in cells}
    prior, students = learned([*curves.values()]), defaultdict(list)
    for cell, own in curves.items():
        students[cell.rpartition(", ")[0]].append(own)
    prior = replace(prior, alike={**prior.alike, "student": of_students(students)})
    libraries = {name: version(name) for name in ("gpytorch", "torch", "numpy")}
    made = {"date": f"{date.today()}", "cells": cells, "runs": sum(len(replay.pipelines(cell)) for cell in cells)}
    PRIOR.write_text(json.dumps({"made": made | libraries, "prior": asdict(prior)}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
