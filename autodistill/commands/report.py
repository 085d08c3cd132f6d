"""`autodistill report`: one page about past runs, or about one."""

from __future__ import annotations

from pathlib import Path

from autodistill.api import report_of
from autodistill.commands.options import OPTIONS, Typed
from autodistill.commands.request import request_from
from autodistill.commands.show import Shown
from autodistill.report.page import Page
from engine.base.checks import check_place
from engine.base.errors import InputError
from engine.base.files import RESULT_FILE, write_text
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
    page = report_of(request_from(typed), reporter) if typed["run"] is None else page_about(typed, reporter)
    write_text(typed["page"], page.html())
    drawn = page.draw(typed["figures"]) if typed["figures"] is not None else []
    left_out = {title: shown for title, shown in page.sections.values() if isinstance(shown, str)}
    record = {"page": str(typed["page"]), "figures": [str(path) for path in drawn], "left_out": left_out}
    lines = [f"left out: {title}: {why}" for title, why in left_out.items()]
    figures = [f"figures: {typed['figures']}"] if drawn else []
    return Shown(record, (), [*lines, f"page: {typed['page']}", *figures])


def page_about(typed: Typed, reporter: Reporter) -> Page:
    """The page about the run that is named.

    Raises:
        InputError: There is no such run, the data are not its own, or past runs are named with it.
    """
    from autodistill.report.answers import answers_of
    from autodistill.report.one_run import page_of_run  # loads matplotlib

    name, folder = typed["run"], expanded(typed["run"])
    if tuple(typed["meta_data"] or ()) not in ((), OPTIONS["meta_data"].default):
        raise InputError.of("--meta-data", "the page is about one run, and learns from no others", name)
    result = RunResult.read(folder)
    if result is None:
        hint = f"A page about several runs: autodistill report --meta-data {name}."
        raise InputError.of(name, f"this folder holds no finished run (no {RESULT_FILE})", "", (), hint)
    task = request_from(typed).task
    return page_of_run(result, answers_of(Path(folder), result, task))
