"""Ctrl-C: whether a ``KeyboardInterrupt`` is the user's, or only looks like it.

Code that users bring may raise one too. That one ends a trial; the user's Ctrl-C ends the run. So a handler
notes that the signal has come.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Noted:
    pressed = False


def _handle(number: int, frame: FrameType | None) -> None:
    _Noted.pressed = True
    raise KeyboardInterrupt


def _nothing(number: int, frame: FrameType | None) -> None:
    """Does what SIG_IGN does, but programs that are started don't inherit it."""


@contextmanager
def watched() -> Iterator[None]:
    """Within, note whether Ctrl-C was pressed. If a program has its own handler, that one stays."""
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    _Noted.pressed = False
    signal.signal(signal.SIGINT, _handle)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _handle:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def leave_to_parent() -> None:
    """From now on this process ignores Ctrl-C, which a terminal sends to every process."""
    signal.signal(signal.SIGINT, _nothing)


def is_users(error: BaseException) -> bool:
    """Whether it is the user's Ctrl-C. Outside ``watched``, every ``KeyboardInterrupt`` is taken for it."""
    if not isinstance(error, KeyboardInterrupt):
        return False
    handler = signal.getsignal(signal.SIGINT)
    if handler is _handle:
        return _Noted.pressed
    return handler not in (_nothing, signal.SIG_IGN, signal.SIG_DFL)


def check() -> None:
    """Raises ``KeyboardInterrupt`` if Ctrl-C was pressed, and users' code caught it."""
    if _Noted.pressed and signal.getsignal(signal.SIGINT) is _handle:
        raise KeyboardInterrupt
