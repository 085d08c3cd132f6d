"""Measures the structure of the packages and prints it beside the plan and what it was before the rebuild.

    python scripts/house.py            the figures
    python scripts/house.py --chain    the longest chain of imports, module by module
    python scripts/house.py --root DIR the same for another checkout

Decided here: what is counted. An import is one that is made when a module is loaded; those inside functions
(libraries and engine parts that take seconds) and those for type checkers alone load nothing. An arrow goes
from one room to another, a room being a folder of a package, or a module that stands in no folder.
"""

from __future__ import annotations

import argparse
import ast
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGES = ("engine", "autodistill")
PLAN = {
    "doors of engine": 14,
    "doors of autodistill": 11,
    "longest import chain, modules": 12,
    "functions, lines at most, nine in ten": 24,
    "longest file, lines": 350,
    "lines of the packages": 37_000,  # 16,500 for what the rebuild found, which it reached; the rest came since
}
BEFORE = {
    "doors of engine": 44,
    "doors of autodistill": 29,
    "longest import chain, modules": 22,
    "rooms": 75,
    "arrows between rooms": 406,
    "imports between modules": 638,
    "modules": 138,
    "functions": 1_060,
    "functions, lines, half of them at most": 5,
    "functions, lines at most, nine in ten": 15,
    "longest file, lines": 343,
    "lines of the packages": 19_480,
}
"""Commit ce8f090, measured by this script."""


class House:
    """The modules of the packages below a folder, and who loads whom."""

    def __init__(self, root: Path):
        self.root = root
        files = [file for package in PACKAGES for file in sorted((root / package).rglob("*.py"))]
        named = {".".join(file.relative_to(root).with_suffix("").parts): file for file in files}
        self.files = {name.removesuffix(".__init__"): file for name, file in named.items()}
        self.trees = {name: ast.parse(file.read_text("utf-8")) for name, file in self.files.items()}
        self.loads = {name: set(self._loaded(tree)) & self.files.keys() - {name} for name, tree in self.trees.items()}

    def _loaded(self, tree: ast.Module) -> Iterator[str]:
        """Our modules that loading a module loads directly."""
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    yield full if full in self.files else str(node.module)
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.files)

    def doors(self, package: str) -> list[str]:
        """What a newcomer sees in a package: folders and modules."""
        entries = (self.root / package).iterdir()
        return sorted(e.name for e in entries if not e.name.startswith("_") and (e.is_dir() or e.suffix == ".py"))

    def longest_chain(self) -> list[str]:
        """Modules each of which loads the next one, as many as there are."""

        @cache
        def below(name: str) -> list[str]:
            return [name, *max(map(below, sorted(self.loads[name])), key=len, default=[])]

        return max(map(below, self.files), key=len)

    def room(self, module: str) -> str:
        """The folder of a module, or the module itself where it stands in none."""
        return ".".join(module.split(".")[:2])

    def arrows(self) -> set[tuple[str, str]]:
        """Pairs of rooms of which one loads from the other."""
        pairs = {(self.room(one), self.room(other)) for one, others in self.loads.items() for other in others}
        return {(one, other) for one, other in pairs if one != other}

    def function_lines(self) -> list[int]:
        """Lines of every function, without its docstring."""
        found = []
        for tree in self.trees.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    body = node.body[ast.get_docstring(node) is not None :] or node.body
                    found.append((node.end_lineno or 0) - body[0].lineno + 1)
        return sorted(found)

    def figures(self) -> dict[str, int]:
        """Everything that is counted, by its name."""
        functions = self.function_lines()
        lines = {name: len(file.read_text("utf-8").splitlines()) for name, file in self.files.items()}
        return {
            **{f"doors of {package}": len(self.doors(package)) for package in PACKAGES},
            "longest import chain, modules": len(self.longest_chain()),
            "rooms": len({self.room(name) for name in self.files}),
            "arrows between rooms": len(self.arrows()),
            "imports between modules": sum(map(len, self.loads.values())),
            "modules": len(self.files),
            "functions": len(functions),
            "functions, lines, half of them at most": int(statistics.median(functions)),
            "functions, lines at most, nine in ten": functions[int(0.9 * len(functions))],
            "longest file, lines": max(lines.values()),
            "lines of the packages": sum(lines.values()),
        }


def main() -> None:
    """Prints the figures, or the longest chain."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument("--chain", action="store_true", help="the longest chain of imports")
    chosen = parser.parse_args()
    house = House(chosen.root)
    if chosen.chain:
        print("\n".join(house.longest_chain()))
        return
    print(f"{'':42}{'now':>8}{'before':>8}{'plan':>8}")
    for name, value in house.figures().items():
        plan = PLAN.get(name)
        print(f"{name:42}{value:>8,}{BEFORE.get(name, 0):>8,}{'' if plan is None else format(plan, ','):>8}")


if __name__ == "__main__":
    main()
