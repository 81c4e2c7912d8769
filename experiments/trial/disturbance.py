"""Shifts clocks and changes hash and random seeds in processes whose trials are compared.

A trial's outcome must not depend on any of these. Ordinary runs do not use this module.
"""

from __future__ import annotations

import datetime
import random
import time
from collections.abc import Callable
from datetime import datetime as _datetime
from typing import Any, Final

# Not a whole number of days, hours, minutes or seconds.
_APART: Final = datetime.timedelta(days=1234, hours=5, minutes=6, seconds=7.89)
_CLOCKS: Final = ("time", "monotonic", "perf_counter", "process_time", "thread_time")


def environment(number: int) -> dict[str, str]:
    """Environment variables of the process ``number``. The hash seed decides the order of sets of strings."""
    return {"PYTHONHASHSEED": str(number)}


def disturb(number: int) -> None:
    """Shift the clocks of this process by an amount that depends on ``number``; seed its global generator."""
    random.seed(number)
    apart = number * _APART
    seconds = apart.total_seconds()
    for name in _CLOCKS:
        setattr(time, name, _shifted(getattr(time, name), seconds))
        setattr(time, f"{name}_ns", _shifted(getattr(time, f"{name}_ns"), int(seconds * 1e9)))

    class Kind(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, _datetime)

    class Shifted(_datetime, metaclass=Kind):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return _datetime.now(tz) + apart

        @classmethod
        def utcnow(cls) -> Any:
            return _datetime.now(datetime.UTC).replace(tzinfo=None) + apart

        @classmethod
        def today(cls) -> Any:
            return _datetime.now() + apart

    datetime.datetime = Shifted  # type: ignore[misc]


def _shifted(clock: Callable[[], Any], by: Any) -> Callable[[], Any]:
    return lambda: clock() + by
