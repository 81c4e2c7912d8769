"""Waiting for something by asking again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

PATIENCE: Final = 60.0


def until(done: Callable[[], Any], what: str) -> Any:
    """The first true result of ``done``. Raises ``TimeoutError`` with the text ``what``."""
    deadline = time.monotonic() + PATIENCE
    while not (found := done()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)
    return found
