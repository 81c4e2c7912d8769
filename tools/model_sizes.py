"""``python -m tools.model_sizes``: how much code each reference ALG is, as the table of docs/models.md.

A model's own lines are those of its file, and of modules that no other model uses. Modules that several
models use are counted once, apart. ``--check`` writes nothing and exits with 1 if the page is out of date.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Final

from siplab.alg_models import exact
from tools.pages import DOCS, MadePart

FOLDER: Final = Path(exact.__file__).parent
_PACKAGE: Final = "siplab.alg_models.exact."


def _files(module: str) -> list[Path]:
    """The file of the module ``name`` or ``package.name`` below the folder; for a package, all its files."""
    path = FOLDER.joinpath(*module.split("."))
    return sorted(path.glob("__init__.py")) if path.is_dir() else [path.with_suffix(".py")]


def _uses(file: Path) -> set[str]:
    """The folder's modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(_PACKAGE):
            name = node.module.removeprefix(_PACKAGE)
            found |= {name, *(f"{name}.{each.name}" for each in node.names)}
        if isinstance(node, ast.ImportFrom) and f"{node.module}." == _PACKAGE:
            found |= {each.name for each in node.names}
    return {each for each in found if all(file.exists() for file in _files(each)) and _files(each)}


def shared(module: str) -> set[str]:
    """The modules that a model uses, directly or through other modules."""
    found: set[str] = set()
    todo = {module}
    while todo:
        for file in _files(todo.pop()):
            fresh = _uses(file) - found
            found |= fresh
            todo |= fresh
    return found - {module}


def _lines(module: str) -> int:
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in _files(module))


def models() -> list[str]:
    """The modules that each have a reference ALG."""
    return sorted(each.stem for each in FOLDER.glob("*.py") if not each.stem.startswith("_"))


def table() -> str:
    """The table in Markdown, and below it the modules that several models share."""
    users = {model: shared(model) for model in models()}
    rows = ["| model | lines of its own | lines that it shares | modules |", "|---|---|---|---|"]
    for model, used in users.items():
        common = sorted(each for each in used if sum(each in other for other in users.values()) > 1)
        alone = sorted(used - set(common))
        own = _lines(model) + sum(map(_lines, alone))
        names = ", ".join(f"`{each}`" for each in common) or "–"
        rows.append(f"| `{model}` | {own} | {sum(map(_lines, common))} | {names} |")
    every = {each for used in users.values() for each in used}
    total = sum(map(_lines, {*users, *every}))
    return "\n".join([*rows, "", f"All of it: {total} lines.", ""])


PART: Final = MadePart(DOCS / "models.md", "model_sizes", table)

if __name__ == "__main__":
    sys.exit(PART.main())
