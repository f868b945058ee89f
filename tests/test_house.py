"""The shape of the project: floors, sizes, names, what an import costs, what the wheel holds.

A failure is a sentence that says what to do.
"""

from __future__ import annotations

import ast
import graphlib
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import bifrost_trio

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "bifrost_trio"
PATH = "Server → Transport → Router → Plugins → MCP → Workers → Providers → Upstream"
FLOORS = (
    ("words", {"errors", "types", "_wire"}),
    ("tools", {"sockets", "config", "catalog", "formats", "upstream", "store", "prices", "limits", "telemetry"}),
    ("stations", {"server", "transport", "router", "plugins", "mcp", "workers", "providers"}),
    ("roof", {"", "__main__", "app", "cli", "library", "admin", "testing", "mock", "serving"}),
)
FLOOR = {part: number for number, (_, parts) in enumerate(FLOORS) for part in parts}
MAX_FILE, MAX_FUNCTION, MAX_MEDIAN = 400, 40, 8
"""Lines of a file; of a function without its docstring; of the function in the middle."""
VAGUE = {"base", "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
NOT_AT_IMPORT = {
    "alembic",
    "anthropic",
    "asyncio",
    "boto3",
    "botocore",
    "coredis",
    "genai_prices",
    "google.auth",
    "httpx",
    "hypothesis",
    "mcp",
    "openai",
    "opentelemetry",
    "psycopg",
    "pytest",
    "rich",
    "sqlalchemy",
    "starlette",
    "typer",
    "uvicorn",
}
MAX_IMPORT = 0.8
"""Seconds of processor time."""
DATA_SUFFIXES = {".py", ".pyi", ".so", ".pyd", ".typed", ".json"}

Module = tuple[str, Path, ast.Module]


def parsed(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted(folder.rglob("*.py")):
        yield file, ast.parse(file.read_text("utf-8"))


def modules() -> dict[str, ast.Module]:
    """Every module by its name within the package; the package itself is ``""``."""
    names = ((file.relative_to(SOURCE).with_suffix("").parts, tree) for file, tree in parsed(SOURCE))
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): tree for parts, tree in names}


def imports(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """The modules of the package that a module imports, anywhere in it, also for its annotations alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in found:
            package, _, inner = name.partition(".")
            if package == "bifrost_trio":
                yield inner if inner in known else inner.rpartition(".")[0]


def without_types(tree: ast.Module) -> ast.Module:
    """The module without what stands under ``if TYPE_CHECKING:``."""
    kept = [n for n in tree.body if not (isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test))]
    return ast.Module(kept, [])


def edges(*, types: bool = True) -> Iterator[tuple[str, str]]:
    """Who imports whom; without ``types`` only what is imported when the program runs."""
    every = {name: tree if types else without_types(tree) for name, tree in modules().items()}
    known = {*every, "_wire"}
    for name, tree in every.items():
        yield from ((name, imported) for imported in imports(tree, known))


def part(module: str) -> str:
    return module.partition(".")[0]


def functions(folder: Path) -> Iterator[tuple[str, int]]:
    """Every function and its lines, its docstring not counted."""
    for file, tree in parsed(folder):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                told = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) and first.end_lineno else 0
                yield (
                    f"{file.relative_to(ROOT)}:{node.lineno} {node.name}",
                    (node.end_lineno or 0) - node.lineno + 1 - told,
                )


def complain(sentences: list[str]) -> None:
    assert not sentences, "\n" + "\n".join(sentences)


def test_every_module_stands_on_a_floor() -> None:
    strangers = sorted({part(name) for name in modules()} - FLOOR.keys())
    complain([f"Give bifrost_trio/{name} a floor in tests/test_house.py and ARCHITECTURE.md." for name in strangers])


def test_imports_go_down() -> None:
    wrong = []
    for importer, imported in edges():
        here, there = FLOOR.get(part(importer), 9), FLOOR.get(part(imported), 0)
        floor = FLOORS[here][0] if here < len(FLOORS) else "no floor"
        if there > here:
            wrong.append(f"{importer} ({floor}) must not import {imported} ({FLOORS[there][0]}): have it handed over.")
        elif floor == "stations" and there == here and part(importer) != part(imported):
            wrong.append(f"{importer} must not import {imported}, a station beside it: app.py hands it its successor.")
    complain(wrong)


@pytest.mark.parametrize("grain", ["modules", "folders"])
def test_no_import_goes_round(grain: str) -> None:
    """Between the modules of one folder a type may be named both ways, between folders not even that."""
    name = part if grain == "folders" else str
    graph: dict[str, set[str]] = {}
    for importer, imported in edges(types=grain == "folders"):
        if name(importer) != name(imported):
            graph.setdefault(name(importer), set()).add(name(imported))
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"Break this circle of imports, move what they share one floor down: {' ← '.join(error.args[1])}.")


def test_public_modules_say_what_is_public() -> None:
    """Ruff (RUF022) keeps ``__all__`` sorted, and pyflakes (F822) sees that its names exist."""
    silent = []
    for name, tree in modules().items():
        body = [node for node in tree.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
        targets = [t for node in body if isinstance(node, ast.Assign) for t in node.targets]
        says = any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)
        if body and not says and not name.rpartition(".")[2].startswith("_"):
            silent.append(f"Give bifrost_trio.{name} an __all__ of the names that others may use.")
    complain(silent)


def test_files_are_short_and_well_named() -> None:
    wrong = []
    for folder, kind in itertools.product(("bifrost_trio", "tests", "benches", "rust"), ("*.py", "*.rs")):
        for file in (ROOT / folder).rglob(kind):
            name, lines = file.relative_to(ROOT), len(file.read_text("utf-8").splitlines())
            if lines > MAX_FILE:
                wrong.append(f"Split {name} by topic: it has {lines} lines, and {MAX_FILE} is the most.")
            if VAGUE & {file.stem, *name.parts}:
                wrong.append(f"Rename {name}: say what is in it.")
    complain(wrong)


def test_functions_are_short() -> None:
    everywhere = [found for folder in ("bifrost_trio", "tests", "benches") for found in functions(ROOT / folder)]
    long = [(name, lines) for name, lines in everywhere if lines > MAX_FUNCTION]
    complain([f"Split {name}: it has {lines} lines, and {MAX_FUNCTION} is the most." for name, lines in long])
    median = statistics.median(lines for _, lines in functions(SOURCE))
    assert median <= MAX_MEDIAN, f"Half of the functions have more than {median} lines; bring that to {MAX_MEDIAN}."


def test_one_door_to_python() -> None:
    files = [*ROOT.glob("rust/**/*.rs"), *ROOT.glob("tests/**/*.rs"), *ROOT.glob("benches/**/*.rs")]
    names = [file.relative_to(ROOT) for file in files if re.search(r"\bpyo3(::|\b.*;)", file.read_text("utf-8"))]
    inside = [name for name in names if name.parts[:2] != ("rust", "bridge")]
    complain([f"Move what names pyo3 in {name} to rust/bridge." for name in inside])


def test_the_order_of_the_stations_is_told_once_and_the_same() -> None:
    for file in ("bifrost_trio/__init__.py", "ARCHITECTURE.md"):
        told = (ROOT / file).read_text("utf-8") if (ROOT / file).exists() else ""
        assert PATH in told, f"Let {file} contain the line: {PATH}"
    order = [word.lower() for word in PATH.split(" → ")]
    built = stacked(SOURCE / "app.py")
    ranks = [order.index(station) for station in built]
    assert ranks in (sorted(ranks), sorted(ranks, reverse=True)), (
        f"stack() in app.py wraps {built}; the path is {PATH}."
    )
    missing = {"router", "plugins", "workers", "providers"} - {*built}
    assert not missing, f"stack() in app.py does not name {sorted(missing)} of the path {PATH}."


def stacked(app: Path) -> list[str]:
    """The stations that ``stack()`` calls, innermost first: by what is imported from them, or by their own word."""
    assert app.exists(), "Write bifrost_trio/app.py with stack(), the one function that puts the stations together."
    tree = ast.parse(app.read_text("utf-8"))
    origin = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bifrost_trio"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}".split(".")[1]
                origin[alias.asname or alias.name] = inner
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name == "stack"]
    assert found, "Put the stations together in one function named stack() at the top level of bifrost_trio/app.py."
    names = itertools.chain.from_iterable(evaluated(statement) for statement in found[0].body)
    return list(dict.fromkeys(s for name in names if (s := origin.get(name, name)) in FLOORS[2][1]))


def evaluated(node: ast.AST) -> Iterator[str]:
    """The names that are read, in the order in which Python comes to use them: a call's arguments before the call."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield node.id
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Call):
        children = [*node.args, *node.keywords, node.func]
    for child in children:
        yield from evaluated(child)


# --- what an import costs ---------------------------------------------------------------------------------------------

PROBE = """
import sys, time, socket, json
def refuse(*_, **__): raise SystemExit("the import reaches for the network")
socket.socket.connect = socket.socket.connect_ex = socket.socket.bind = socket.getaddrinfo = refuse
before = time.process_time()
import {module}
print(json.dumps([time.process_time() - before, sorted(sys.modules)]))
"""


@pytest.mark.real_clock
@pytest.mark.parametrize("module", ["bifrost_trio", "bifrost_trio.app"])
def test_import_is_light_and_quiet(module: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROBE.format(module=module)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"`import {module}` fails:\n{run.stderr}"
    seconds, loaded = json.loads(run.stdout)
    heavy = sorted(NOT_AT_IMPORT & {*loaded})
    assert not heavy, f"`import {module}` loads {heavy}: import them in the function that needs them."
    assert seconds < MAX_IMPORT, f"`import {module}` takes {seconds:.2f} s of processor time: see -X importtime."


# --- the wheel --------------------------------------------------------------------------------------------------------

needs_wheel = pytest.mark.skipif("BIFROST_TRIO_WHEEL" not in os.environ, reason="no wheel: run `make python`")


@needs_wheel
def test_what_is_tested_is_the_wheel() -> None:
    place = Path(bifrost_trio.__file__)
    assert "site-packages" in place.parts, f"The tests run against {place}: run `make wheel`, and keep '' off sys.path."


@needs_wheel
def test_the_wheel_holds_the_package_and_nothing_else() -> None:
    with zipfile.ZipFile(os.environ["BIFROST_TRIO_WHEEL"]) as wheel:
        names = wheel.namelist()
        metadata = next(wheel.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    inside = {name for name in names if name.startswith("bifrost_trio/")}
    wrong = sorted(name for name in inside if Path(name).suffix not in DATA_SUFFIXES)
    wrong += sorted(name for name in {*names} - inside if not re.match(r"bifrost_trio-[^/]+\.dist-info/", name))
    complain([f"Keep {name} out of the wheel, or allow it in tests/test_house.py." for name in wrong])
    assert {"bifrost_trio/py.typed", "bifrost_trio/_wire.pyi"} <= inside, "The wheel has lost its types."
    assert any(name.endswith("licenses/LICENSE") for name in names), "The wheel has no LICENSE: see license-files."
    assert "License-Expression: Apache-2.0" in metadata, "The wheel does not say its licence: see pyproject.toml."


def test_one_version() -> None:
    python = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    rust = tomllib.loads((ROOT / "Cargo.toml").read_text("utf-8"))["package"]["version"]
    assert python == rust, f"pyproject.toml says {python} and Cargo.toml {rust}: write the same version into both."


@pytest.mark.parametrize("name", ["requirements/dev.txt", "Makefile", ".ci/run"])
def test_nothing_is_tied_to_one_machine(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert not re.search(r"https?://|file:|--index-url|--find-links", text), f"Take the address out of {name}."
