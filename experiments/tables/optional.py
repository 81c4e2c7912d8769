"""Libraries that tables and figures need, and an installation may lack."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

from siplab.lab.errors import UsageError


def library(name: str, extra: Literal["data", "notebook"], what: str) -> Any:
    """The module ``name``. Raises ``UsageError`` saying how to get it, and ``what`` needs it."""
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise UsageError(f"{what} needs {package}: pip install 'siplab[{extra}]'") from None
