"""The rules of docs/architecture.md: who may import whom, how large things get, and who prints."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from scripts.house import PLAN, House

ROOT = Path(__file__).resolve().parents[1]
HOUSE = House(ROOT)
ORDER = (
    *("meta_data",),
    *("engine.base", "engine.data", "engine.pipeline", "engine.tokens", "engine.models", "engine.objective"),
    *("engine.augment", "engine.evaluation", "engine.signals", "engine.training", "engine.run", "engine.export"),
    "engine.team",
    *("engine.distillation", "engine"),
    *("autodistill.datasets", "autodistill.history", "autodistill.ranking", "autodistill.search"),
    "autodistill.evaluation",
    *("autodistill.recommend", "autodistill.study", "autodistill.report", "autodistill.replay", "autodistill.api"),
    *("autodistill", "autodistill.commands"),
    *("cli",),
)
"""Every room; each imports only from those that stand before it."""
MAY_IMPORT = {"engine": set(), "meta_data": set(), "autodistill": {"engine", "meta_data"}}
LIGHT = ("engine.base", "engine.pipeline", "engine.data.task", "engine.models.names", "engine.run.result")
"""What loads neither torch nor transformers."""
SHOWS = {"cli", *(f"autodistill.commands.{name}" for name in ("options", "console", "tables"))}
FUNCTION_LINES = 40
LONGER = {"engine.training.loop.train": 80}
MODULES = {**HOUSE.files, "meta_data": ROOT / "meta_data" / "__init__.py", "cli": ROOT / "cli.py"}
TREES = {name: ast.parse(file.read_text("utf-8")) for name, file in MODULES.items()}


def imported(tree: ast.AST) -> Iterator[str]:
    """The dotted names that a tree imports, inside functions too; of ours, the module, not a name in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else str(node.module)


def test_all_rooms_are_ordered() -> None:
    assert {HOUSE.room(name) for name in MODULES} == set(ORDER)


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_from_those_before_it(module: str) -> None:
    ours = {HOUSE.room(name) for name in imported(TREES[module]) if name in MODULES}
    assert not [room for room in ours if ORDER.index(room) > ORDER.index(HOUSE.room(module))]


@pytest.mark.parametrize("module", [name for name in MODULES if name != "cli"])
def test_directions_between_packages(module: str) -> None:
    package = module.split(".")[0]
    ours = {name.split(".")[0] for name in imported(TREES[module])} & {"cli", "tests", "scripts", *MAY_IMPORT}
    assert ours <= MAY_IMPORT[package] | {package}


def test_no_import_cycles() -> None:
    graph = {name: set(imported(tree)) & MODULES.keys() - {name} for name, tree in TREES.items()}
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("package", LIGHT)
def test_what_is_light_loads_neither_torch_nor_transformers(package: str) -> None:
    modules = [name for name in MODULES if f"{name}.".startswith(f"{package}.")]
    code = f"import sys, {', '.join(modules)}; print(*{{'torch', 'transformers'}} & sys.modules.keys())"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not loaded.stdout.split()


@pytest.mark.parametrize("module", MODULES)
def test_only_the_console_prints(module: str) -> None:
    if module in SHOWS:
        return
    calls = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.Call)]
    assert not [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]
    assert not {"rich", "typer"} & {name.split(".")[0] for name in imported(TREES[module])}


UNPICKLED = {("engine.training.batches", "pickle.loads")}
"""What runs code when it is read, and why it may: bytes from a child of our own process, never a file."""
READS_PICKLES = ("pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal")


@pytest.mark.parametrize("module", MODULES)
def test_no_file_that_is_read_can_run_code(module: str) -> None:
    calls = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.Call)]
    called = {(module, ast.unparse(node.func)): node for node in calls}
    assert not {name for name in called if name[1].split(".")[0] in READS_PICKLES and "load" in name[1]} - UNPICKLED
    names = [name for _, name in called]
    assert not [name for name in names if name.endswith(("Unpickler", "read_pickle")) or name in ("eval", "exec")]
    for node in calls:
        known = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if ast.unparse(node.func) == "torch.load":
            assert known.get("weights_only") == "True", node.lineno
        if ast.unparse(node.func) in ("np.load", "numpy.load"):
            assert known.get("allow_pickle") == "False", node.lineno
        if "from_pretrained" in ast.unparse(node.func):
            assert known.get("trust_remote_code", "False") == "False", node.lineno


@pytest.mark.parametrize("module", MODULES)
def test_sizes(module: str) -> None:
    long = {}
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[ast.get_docstring(node) is not None :] or node.body
            lines = (node.end_lineno or 0) - body[0].lineno + 1
            if lines > LONGER.get(f"{module}.{node.name}", FUNCTION_LINES):
                long[node.name] = lines
    assert not long


@pytest.mark.parametrize("figure", PLAN)
def test_the_house_keeps_to_its_plan(figure: str) -> None:
    measured = HOUSE.figures()[figure]
    print(f"{figure}: {measured:,} (plan: {PLAN[figure]:,})")  # seen with pytest -s
    assert measured <= PLAN[figure]


@pytest.mark.parametrize("module", [name for name in HOUSE.files if not HOUSE.files[name].name.startswith("__")])
def test_tests_mirror_the_tree(module: str) -> None:
    folder, _, name = module.replace(".", "/").rpartition("/")
    assert (ROOT / "tests" / folder / f"test_{name}.py").is_file()
