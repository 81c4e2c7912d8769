"""Where whole parameters of a header value stand, for steps that remove them."""

from __future__ import annotations

import re
from typing import Final

from siplab.lab.wire.headers import QUOTED, find_all

_NAME: Final = rb";\s*(?P<name>[^\s;=,<>\"]+)"
_PLAIN: Final = rb"[^\s;,<>\"?]*"
_PARAMETER: Final = re.compile(_NAME + rb"(?:\s*=\s*(?:" + QUOTED + rb"|" + _PLAIN + rb"))?", re.DOTALL)
_UNQUOTED: Final = re.compile(_NAME + rb"(?:\s*=\s*" + _PLAIN + rb")?")


def whole_parameters(
    value: bytes, name: bytes, start: int = 0, end: int | None = None
) -> list[tuple[int, int]]:
    """Spans of the parameters with this (lower-case) name in a part of a value, each with its ';'."""
    limit = len(value) if end is None else end
    found = find_all(_PARAMETER, _UNQUOTED, value, start, limit)
    return [each.span() for each in found if each["name"].lower() == name]
