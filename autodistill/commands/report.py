"""`autodistill report`: one page about past runs."""

from __future__ import annotations

from autodistill.api import report_of
from autodistill.commands.options import Typed
from autodistill.commands.request import request_from
from autodistill.commands.show import Shown
from engine.base.checks import check_place
from engine.base.files import write_text
from engine.base.progress import Reporter


def report(typed: Typed, reporter: Reporter) -> Shown:
    """Writes the page, and its figures where a folder is named."""
    check_place("--out", typed["page"], is_folder=False)
    if typed["figures"] is not None:
        check_place("--figures", typed["figures"], is_folder=True)
    page = report_of(request_from(typed), reporter)
    write_text(typed["page"], page.html())
    drawn = page.draw(typed["figures"]) if typed["figures"] is not None else []
    left_out = {title: shown for title, shown in page.sections.values() if isinstance(shown, str)}
    record = {"page": str(typed["page"]), "figures": [str(path) for path in drawn], "left_out": left_out}
    lines = [f"left out: {title}: {why}" for title, why in left_out.items()]
    figures = [f"figures: {typed['figures']}"] if drawn else []
    return Shown(record, (), [*lines, f"page: {typed['page']}", *figures])
