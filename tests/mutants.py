"""Changes one place of the code after another, and tells which changes no test noticed.

    python -m tests.mutants [MODULE …]

What is changed, and which tests are to notice, stands in pyproject.toml ([tool.mutmut]). Known survivors, and why
nothing can tell them from the code, are listed in tests/survivors.md. Prints a table; ends with 1 where fewer than 90 %
of a module's mutants were caught.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict

LEAST = 0.9
CAUGHT = {"killed", "timeout", "segfault", "suspicious", "caught by type check"}


def main() -> None:
    """Runs what was not run yet, and prints the share that was caught."""
    patterns = [f"{module}.*" for module in sys.argv[1:]]
    ran = subprocess.run([sys.executable, "-m", "mutmut", "run", "--max-children", "2", *patterns], check=False)
    found = subprocess.run(
        [sys.executable, "-m", "mutmut", "results", "--all", "true"], check=True, capture_output=True, text=True
    )
    counts = counted(found.stdout)
    shares = {module: sum(counts[module][how] for how in CAUGHT) / counts[module].total() for module in sorted(counts)}
    for module, share in shares.items():
        print(f"{module:40} {counts[module].total():4} mutants  {share:4.0%} caught")
    sys.exit(ran.returncode or not shares or min(shares.values()) < LEAST)


def counted(results: str) -> dict[str, Counter[str]]:
    """Module → what became of its mutants, those aside that were not tried."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for line in results.splitlines():
        name, _, status = line.strip().rpartition(": ")
        if name and status != "not checked":
            counts[name.rpartition(".")[0].removesuffix(".")][status] += 1
    return counts


if __name__ == "__main__":
    main()
