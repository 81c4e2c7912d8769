"""Imports libraries that only some commands need. If one is missing, a single line says so."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from siplab.lab.errors import CapabilityError


def needed(module: str, what: str, extra: str) -> Any:
    """The module. Raises ``CapabilityError`` that says what needs it and how to install it."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise CapabilityError(
            f"{what} needs {package} ({error.name or package} is missing): pip install 'siplab[{extra}]'"
        ) from None
