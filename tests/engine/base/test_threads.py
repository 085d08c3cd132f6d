"""How threads share the cores is settled before torch and numpy are loaded."""

import os
import subprocess
import sys

import pytest

from engine.base import threads

SAY = "import os, sys; import {}; print(*({{'torch', 'numpy'}} & {{*sys.modules}}), *map(os.environ.get, {}))"


@pytest.mark.parametrize("module", ["engine", "cli"])
@pytest.mark.parametrize("own", [None, "7"])
def test_it_is_settled_with_the_first_import_unless_the_user_has_done_so(module: str, own: str | None) -> None:
    names = threads.ROUNDS, threads.BLAS_THREADS
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= dict.fromkeys(names, own) if own else {}
    code = SAY.format(module, names)
    rounds, blas = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).split()
    assert rounds in ({own} if own else {threads.PATIENT, threads.HASTY})
    assert blas == (own or "1")


@pytest.mark.parametrize(
    "load, cores, count", [(0.3, 2, "10000"), (1.2, 2, "1000"), (1.2, 4, "10000"), (2.2, 4, "1000")]
)
def test_busy_is_a_machine_with_half_of_its_cores_at_work(
    load: float, cores: int, count: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(threads.ROUNDS, raising=False)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    threads.share_cores()
    assert os.environ[threads.ROUNDS] == count


def test_a_system_that_does_not_know_its_load_counts_as_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> tuple[float, float, float]:
        raise OSError

    monkeypatch.delenv(threads.ROUNDS, raising=False)
    monkeypatch.setattr(os, "getloadavg", unknown)
    threads.share_cores()
    assert os.environ[threads.ROUNDS] == threads.PATIENT
