"""`autodistill export`: a student as ONNX."""

from __future__ import annotations

from autodistill.commands.options import Typed
from autodistill.commands.request import fields_of
from autodistill.commands.show import Shown
from engine.base.hub import local_snapshot
from engine.base.progress import Reporter


def export(typed: Typed, reporter: Reporter) -> Shown:
    """Writes the folder, and shows what each form reaches and takes."""
    model, out = typed["model"], typed["into"]
    columns = fields_of(typed).columns.model_dump(exclude_defaults=True)
    local_snapshot(model, "model")

    from engine.export.export import FOLDER, export_model  # after everything that needs no torch

    export = export_model(
        model, out, data=typed["on_data"], margin=typed["margin"], force=typed["force"], reporter=reporter, **columns
    )
    heads, rows = export.table
    where = f"{model}/{FOLDER}" if out is None else str(out)
    return Shown(export.model_dump(), [(heads, rows, "")], [*export.sentences, f"exported: {where}"])
