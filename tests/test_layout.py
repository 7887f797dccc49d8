"""The tree keeps its own rules: sizes, names, a test file for every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src/mooring"
FILE_LINES = 400
FUNCTION_LINES = 60

# Each exemption says why.
LONG_FILES: dict[str, str] = {"tests/services/test_holder_machine.py": "one state machine"}
LONG_FUNCTIONS: dict[str, str] = {}
FORMS = "tests/wire/test_forms.py and test_stored.py write and read every form"
UNTESTED: dict[str, str] = {
    "ports/clusters.py": "a Protocol: tests/contracts holds every implementation to it",
    "ports/stores.py": "a Protocol: tests/contracts holds every implementation to it",
    "core/findings.py": "a value without behaviour; containers/container_reconciler.py and the doctor make it",
    "servers/proxy/hooks.py": "values and a Protocol; the relay and the gate are tested with them",
    "services/operations/publishing.py": "finds the network by its name; tests/servers/api/test_cluster.py asks it",
    "core/docker_requests.py": "values without behaviour; tests/wire reads them, the services are tested with them",
    "core/dns_views.py": "as core/views.py",
    "core/cluster_views.py": "as core/views.py",
    "core/vnic_views.py": "as core/views.py",
    "core/namespace_views.py": "as core/views.py",
    "core/states.py": "words without behaviour; the modules of the records have them, and their tests",
    "core/views.py": "values without behaviour; tests/wire/api holds the fields, the services that make them test them",
    "core/filters.py": "values without behaviour; tests/servers/api reads them, matching.py decides",
    "core/requests.py": "values without behaviour; the doors and services that exchange them test them",
    "wire/api/cluster_requests.py": "values without behaviour; tests/servers/api/test_cluster.py sends them",
    "wire/forms/advertisements.py": FORMS,
    "wire/forms/claims.py": FORMS,
    "wire/forms/deny_entries.py": FORMS,
    "wire/forms/dns_records.py": FORMS,
    "wire/forms/endpoints.py": FORMS,
    "wire/forms/everywhere.py": FORMS,
    "wire/forms/kept_networks.py": FORMS,
    "wire/forms/holders.py": FORMS,
    "wire/forms/leases.py": FORMS,
    "wire/forms/moves.py": FORMS,
    "wire/forms/networks.py": FORMS,
    "wire/forms/pools.py": FORMS,
    "wire/forms/sandboxes.py": FORMS,
    "wire/forms/shared_addresses.py": FORMS,
    "wire/forms/vnics.py": FORMS,
    "ports/sandboxes.py": "Protocols: tests/contracts holds every implementation to them",
    "ports/hosts.py": "Protocols: tests/contracts holds every implementation to them",
    "config/pools.py": "tests/test_config.py reads every form of them",
    "__main__.py": "two lines; every end-to-end test goes through it",
}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "base"}


def modules() -> list[Path]:
    """Every Python file of the tree that is ours."""
    return [path for top in ("src", "tests", "bench") for path in sorted((ROOT / top).rglob("*.py"))]


def name_of(path: Path) -> str:
    """The file as the exemptions name it."""
    return str(path.relative_to(ROOT))


@dataclass(frozen=True, slots=True)
class Function:
    """One of a module. documented: whether it has a docstring."""

    name: str
    lines: int
    documented: bool


@cache
def outline(path: Path) -> tuple[bool, tuple[Function, ...]]:
    """Whether the module says what it is for, or has no code; and its functions. Reading all of them takes seconds."""
    tree = ast.parse(path.read_text())
    functions = tuple(
        Function(node.name, (node.end_lineno or node.lineno) - node.lineno + 1, ast.get_docstring(node) is not None)
        for node in _statements(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return not tree.body or ast.get_docstring(tree) is not None, functions


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All of them, however deep, without the expressions, which are most of a tree."""
    for part in ("body", "handlers", "orelse", "finalbody", "cases"):
        inner = getattr(tree, part, ())
        for each in inner if isinstance(inner, list) else ():  # a lambda's body is an expression
            yield each
            yield from _statements(each)


def test_no_file_is_longer_than_the_budget() -> None:
    """A file has at most 400 lines, or an exemption that says why."""
    long = {name_of(path): len(path.read_text().splitlines()) for path in modules()}
    assert {name: lines for name, lines in long.items() if lines > FILE_LINES and name not in LONG_FILES} == {}


def test_no_function_is_longer_than_the_budget() -> None:
    """A function has at most 60 lines, or an exemption that says why."""
    long = {
        name: function.lines
        for path in modules()
        for function in outline(path)[1]
        if function.lines > FUNCTION_LINES and (name := f"{name_of(path)}:{function.name}") not in LONG_FUNCTIONS
    }
    assert long == {}


def has_tests(module: Path) -> bool:
    """Whether src/mooring/LAYER/.../b.py has a file test_b.py below tests/LAYER, or the contract tests have one."""
    layer = module.relative_to(SOURCE).parts[0] if module.parent != SOURCE else "."
    places = (ROOT / "tests" / layer, ROOT / "tests/contracts")
    return any(True for place in places for _ in place.rglob(f"test_{module.stem}.py"))


def test_every_module_has_a_test_file() -> None:
    """src/mooring/LAYER/.../b.py is tested by a file test_b.py below tests/LAYER, or by the contract tests."""
    missing = [
        str(path.relative_to(SOURCE))
        for path in sorted(SOURCE.rglob("*.py"))
        if path.name != "__init__.py" and not has_tests(path) and str(path.relative_to(SOURCE)) not in UNTESTED
    ]
    assert missing == []


def test_modules_are_named_after_what_they_hold() -> None:
    """No module is called by a word that says nothing."""
    assert [name_of(path) for path in modules() if path.stem in FORBIDDEN_NAMES] == []


def test_every_module_says_what_it_is_for() -> None:
    """Every module that has code opens with a docstring."""
    assert [name_of(path) for path in modules() if not outline(path)[0]] == []


def test_every_test_says_what_is_true_when_it_passes() -> None:
    """Every test function has a docstring."""
    assert [
        f"{name_of(path)}:{function.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for function in outline(path)[1]
        if function.name.startswith("test_") and not function.documented
    ] == []


def test_every_exemption_is_still_needed() -> None:
    """An exemption names a thing that exists, and of modules one that has no test file indeed."""
    names = {name_of(path) for path in modules()}
    assert {name for name in LONG_FILES if name not in names} == set()
    assert {name for name in LONG_FUNCTIONS if name.split(":")[0] not in names} == set()
    assert {name for name in UNTESTED if not (SOURCE / name).exists()} == set()
    assert {name for name in UNTESTED if has_tests(SOURCE / name)} == set()
