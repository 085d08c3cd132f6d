"""Makes meta_data/fits.json: what the usual predictor learns of the published figures, and how well it orders them.

    python scripts/fit_published.py

It takes half a minute or more, which the first recommendation on a machine need not take. Whoever changes what
predictors see or do runs it again; a test compares what is there with what they learn now.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from autodistill.history.store import Store
from autodistill.ranking.fitted import LIBRARIES, SIMPLE, Kept, agreement_of
from autodistill.ranking.knowledge import load_knowledge
from autodistill.ranking.mixed import mixed
from autodistill.ranking.past import RunTable, commonest_pair
from autodistill.recommend.request import Request
from engine.base.options import RunOptions
from engine.base.progress import SilentReporter
from meta_data import FITS

PREDICTOR = Request().predictor


def published(folder: Path) -> RunTable:
    """All that is known where no run was made: an empty store adds nothing."""
    store, options = Store(str(folder / "store.db")), RunOptions(cache_dir=str(folder))
    return load_knowledge(Request().meta_data, store, options=options)[0]


def fits(table: RunTable, folder: Path) -> dict[str, Any]:
    """`Kept.identity` → the answer; found anew in an empty folder while `shipped_fits` are none."""
    reporter, pair = SilentReporter(), commonest_pair(table.runs)
    found: dict[str, Any] = {Kept(PREDICTOR, table, folder, reporter).identity("learned"): mixed(table).learned}
    for name in (PREDICTOR, SIMPLE):
        agreement = agreement_of(name, table, pair, folder, reporter)
        answer = [dict(agreement.pooled), dict(agreement.within_pair)]
        found[Kept(name, table, folder, reporter).identity("agreement", *pair)] = answer
    return found


def made() -> dict[str, Any]:
    """When and with what."""
    libraries = {name: version(name) for name in LIBRARIES if name in ("numpy", "pandas", "scikit-learn", "scipy")}
    return {"date": f"{date.today()}", "machine": f"{platform.machine()}, {os.cpu_count()} cores", **libraries}


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    FITS.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as name:
        answers = fits(published(Path(name)), Path(name))
    FITS.write_text(json.dumps({"made": made(), "fits": answers}, indent=1) + "\n", "utf-8")
