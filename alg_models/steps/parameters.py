"""Where whole parameters of a header value stand, for steps that take them away."""

from __future__ import annotations

import re
from typing import Final

_PARAMETER: Final = re.compile(
    rb";\s*(?P<name>[^\s;=,<>\"]+)(?:\s*=\s*(?:\"(?:[^\"\\]|\\.)*\"|[^\s;,<>\"?]*))?"
)


def whole_parameters(
    value: bytes, name: bytes, start: int = 0, end: int | None = None
) -> list[tuple[int, int]]:
    """Spans of the parameters of that lower-case name in a part of a value, each with its ';'."""
    limit = len(value) if end is None else end
    found = _PARAMETER.finditer(value, start, limit)
    return [each.span() for each in found if each["name"].lower() == name]
