"""`autodistill runs`: all runs of a store or a folder as a table, a file, a figure.

Decided here: how many rows a screen is shown.
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from autodistill.commands.options import Typed
from autodistill.commands.show import Shown
from autodistill.ranking.knowledge import STORE
from autodistill.report.listing import runs as listed
from engine.base.checks import check_place
from engine.base.errors import counted
from engine.base.files import write_text
from engine.base.progress import Reporter

MOST_SHOWN = 50


def runs(typed: Typed, reporter: Reporter) -> Shown:
    """The runs that are asked for; those that cannot be read are said, one line each."""
    csv, figure = typed.get("csv"), typed.get("figure")
    if csv is not None:
        check_place("--csv", csv, is_folder=False)
    if figure is not None:
        from autodistill.report.overview import check_form, write_figure  # loads matplotlib

        check_place("--figure", figure, is_folder=False)
        check_form(figure)
    source, asked = typed["runs"] or STORE, {name: typed.get(name) for name in ("sort", "reverse", "store")}
    given = {name: value for name, value in asked.items() if value}
    found = listed(source, where=typed.get("where") or (), tell=reporter.message, **given)
    lines = []
    if csv is not None:
        write_text(csv, found.to_csv(index=False))
        lines.append(f"table: {csv}")
    if figure is not None:
        write_figure(found, str(source), figure)
        lines.append(f"figure: {figure}")
    return Shown(_record(found), [_table(found)] if len(found) else [], [*_closing_lines(found), *lines])


def _record(found: pd.DataFrame) -> list[dict[str, Any]]:
    """Every run with all that is known of it."""
    return json.loads(found.to_json(orient="records", double_precision=15))


def _table(found: pd.DataFrame) -> tuple[list[str], list[list[str]], str]:
    from autodistill.report.overview import HEAD, rows_of  # loads matplotlib

    return HEAD, rows_of(found[:MOST_SHOWN]), ""


def _closing_lines(found: pd.DataFrame) -> list[str]:
    """How many there are, where more are than are shown, and what the mark means."""
    if found.empty:
        return ["no run fulfils this"]
    more = len(found) - MOST_SHOWN
    lines = [f"{counted(more, 'more run')}: --where, --csv and --json show them"] if more > 0 else []
    starred = found[:MOST_SHOWN].front.any()
    return [*lines, *(["*: no comparable run that is as fast has a better score"] if starred else [])]
