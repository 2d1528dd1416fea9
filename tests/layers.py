"""Where each module of the product belongs and what it imports, read from the tree itself.

`python -m tests.layers` prints the files of the pure modules, in the form that coverage takes. A
module is pure when it reaches no file, no network, no process and no screen, neither by itself nor
through what it imports: every branch of such a module is tested.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import AbstractSet, Dict, Iterator, NamedTuple

ROOT = Path(__file__).parent.parent
AROUND = {"tests", "sandbox", "benchmark"}  # they use the product, and it knows nothing of them
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "transport": {"core"},
    "state": {"core"},
    "report": {"core", "state"},
    "cli": {"core", "transport", "state", "report"},
    "client": {"core", "transport"},
    "job": {"core", "transport", "state", "report", "cli", "client"},
    "script": {"core", "transport", "state", "report", "cli", "client", "job"},
}
HARMLESS = {
    *("__future__", "collections", "concurrent.futures", "dataclasses", "datetime", "decimal"),
    *("difflib", "email.utils", "enum", "functools", "idna", "itertools", "json", "math"),
    *("operator", "publicsuffixlist", "queue", "re", "threading", "time", "typing", "unicodedata"),
    *("urllib.parse",),
}
REACHING_OUT = {"input", "open", "print"}


class Module(NamedTuple):
    """`imports`: dotted names; `reaches_out`: by a built-in function."""

    path: Path
    imports: set[str]
    reaches_out: bool


Tree = Dict[str, Module]


def product_files(root: Path = ROOT) -> Iterator[Path]:
    """What a run of the scripts needs, relative to the root."""
    for path in sorted(root.iterdir()):
        if path.suffix == ".py":
            yield path.relative_to(root)
        elif (path / "__init__.py").exists() and path.name not in AROUND:
            files = (each for each in sorted(path.rglob("*")) if each.is_file())
            yield from (each.relative_to(root) for each in files if each.suffix != ".pyc")


def read_tree(root: Path = ROOT) -> Tree:
    """Dotted name -> module; a folder goes by its own name."""
    paths = {_dotted(path): path for path in product_files(root) if path.suffix == ".py"}
    return {
        name: _module(path, ast.parse((root / path).read_text(encoding="utf-8")), paths.keys())
        for name, path in paths.items()
    }


def place(name: str, tree: Tree) -> tuple[str, str]:
    """The layer of a module, and the unit within it: a service, a job or a script. A client is
    `brevo_client.py`, with a folder `brevo_api/` if it needs one: `brevo/` would hide a package of
    that name."""
    top = name.split(".")[0]
    if top in MAY_IMPORT:
        return top, top
    service = re.sub("_(client|api)$", "", top)
    if f"{service}_client" in tree:
        return "client", service
    is_folder = tree[top].path.name == "__init__.py"
    return "job" if is_folder else "script", top


def scripts(root: Path = ROOT) -> list[str]:
    tree = read_tree(root)
    return [name for name in tree if place(name, tree)[0] == "script"]


def violations(root: Path = ROOT) -> list[str]:
    """Every import that goes against the layers, and every module that imports itself in the end,
    in words."""
    tree = read_tree(root)
    found = [
        f"{name} imports {other}"
        for name, module in tree.items()
        for other in sorted(module.imports)
        if other.split(".")[0] in AROUND or (other in tree and not _may_import(name, other, tree))
    ]
    return found + [f"{name} is part of a circle" for name in sorted(_circles(tree))]


def pure_modules(root: Path = ROOT) -> list[str]:
    tree = read_tree(root)
    impure: set[str] = set()
    while True:
        more = {
            name
            for name, module in tree.items()
            if module.reaches_out
            or any(
                other in impure if other in tree else other not in HARMLESS
                for other in module.imports
            )
        }
        if more == impure:
            return [name for name, module in tree.items() if name not in impure and module.imports]
        impure = more


def _may_import(name: str, other: str, tree: Tree) -> bool:
    here, there = place(name, tree), place(other, tree)
    return here == there or there[0] in MAY_IMPORT[here[0]]


def _circles(tree: Tree) -> set[str]:
    left = {name: module.imports & tree.keys() for name, module in tree.items()}
    while done := {name for name, others in left.items() if not others & left.keys()}:
        left = {name: others for name, others in left.items() if name not in done}
    return set(left)


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _module(path: Path, code: ast.Module, names: AbstractSet[str]) -> Module:
    nodes = list(ast.walk(code))
    imports = {name for node in nodes for name in _imported(node, path, names)}
    reaches_out = any(isinstance(each, ast.Name) and each.id in REACHING_OUT for each in nodes)
    return Module(path, imports, reaches_out)


def _imported(node: ast.AST, path: Path, names: AbstractSet[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = path.parts[: len(path.parts) - node.level] if node.level else ()
        origin = ".".join((*above, *filter(None, [node.module])))
        for alias in node.names:
            submodule = f"{origin}.{alias.name}"
            yield submodule if submodule in names else origin


if __name__ == "__main__":
    pure, modules = pure_modules(), read_tree()
    sys.stdout.write(",".join(str(modules[name].path) for name in pure) + "\n")
