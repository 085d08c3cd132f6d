"""`autodistill report`: one page about past runs, or about one."""

from __future__ import annotations

from autodistill.api import page_about, report_of
from autodistill.commands.options import OPTIONS, Typed
from autodistill.commands.request import request_from
from autodistill.commands.show import Shown
from autodistill.report.page import Page
from engine.base.checks import check_place
from engine.base.errors import InputError
from engine.base.files import write_text
from engine.base.progress import Reporter
from engine.base.text import expanded
from engine.run.result import RunResult


def report(typed: Typed, reporter: Reporter) -> Shown:
    """Writes the page, and its figures where a folder is named."""
    check_place("--out", typed["page"], is_folder=False)
    if typed["figures"] is not None:
        check_place("--figures", typed["figures"], is_folder=True)
    if typed["run"] is None and typed["on_data"] is not None:
        raise InputError.of("--data", "only for the page about one run, and none is named", typed["on_data"])
    page = report_of(request_from(typed), reporter) if typed["run"] is None else page_of_one(typed)
    write_text(typed["page"], page.html())
    drawn = page.draw(typed["figures"]) if typed["figures"] is not None else []
    left_out = {title: shown for title, shown in page.sections.values() if isinstance(shown, str)}
    record = {"page": str(typed["page"]), "figures": [str(path) for path in drawn], "left_out": left_out}
    lines = [f"left out: {title}: {why}" for title, why in left_out.items()]
    figures = [f"figures: {typed['figures']}"] if drawn else []
    return Shown(record, (), [*lines, f"page: {typed['page']}", *figures])


def page_of_one(typed: Typed) -> Page:
    """The page about the run that is named.

    Raises:
        InputError: There is no such run, the data are not its own, or past runs are named with it.
    """
    name = typed["run"]
    if tuple(typed["meta_data"] or ()) not in ((), OPTIONS["meta_data"].default):
        raise InputError.of("--meta-data", "the page is about one run, and learns from no others", name)
    if RunResult.read(expanded(name)) is None:  # before the data are read
        return page_about(name, None)
    return page_about(name, request_from(typed).task)
