"""Shared by all tests: where real data lies, and which markers skip on which machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # a busy machine is no mistake of the code
settings.load_profile("any machine")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models, and several processes in some tests

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    import torch

    skips = {"shared": (SHARED / "datasets").is_dir(), "gpu": torch.cuda.is_available()}
    reasons = {"shared": "the folder ../shared is not on this machine", "gpu": "no CUDA device on this machine"}
    for item in items:
        for marker, present in skips.items():
            if item.get_closest_marker(marker) and not present:
                item.add_marker(pytest.mark.skip(reason=reasons[marker]))


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a record of runs of its own, and none touches the user's."""
    monkeypatch.setenv("AUTODISTILLER_STORE", str(tmp_path / "store.db"))


@pytest.fixture(scope="session")
def readers_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a person who tries one page after another has kept, such as fitted predictors; one for all processes."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "readers-cache"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real datasets and models; use together with the marker `shared`."""
    return SHARED
