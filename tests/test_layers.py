"""The contracts of ``.importlinter``: nothing imports what stands above it."""

from __future__ import annotations

from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]


def test_imports_point_down_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint_imports(config_filename=str(ROOT / ".importlinter"), no_cache=True) == 0, (
        capsys.readouterr().out
    )


def test_every_module_is_looked_at() -> None:
    """The four folders are symbolic links in the package, and the linter must follow them."""
    known = grimp.build_graph("siplab", cache_dir=None).modules
    for room in ("lab", "alg_models", "topologies", "experiments"):
        for file in (ROOT / room).rglob("*.py"):
            module = ".".join(("siplab", *file.relative_to(ROOT).with_suffix("").parts))
            assert module.removesuffix(".__init__") in known
