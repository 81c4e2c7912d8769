"""``ID`` or ``ID(parameter=value,...)``: how users name a thing and set its parameters.

Parameters are the fields of a frozen dataclass; values are read as YAML scalars and validated
by pydantic, so that a wrong one is refused with its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from siplab.lab.errors import UsageError
from siplab.lab.plain_data import PlainDataError, from_yaml

T = TypeVar("T")

_SPEC: Final = re.compile(r"(?P<id>[^()\s]+)(?:\((?P<parameters>.*)\))?\Z", re.DOTALL)


def parse(spec: str, kind: str) -> tuple[str, dict[str, Any]]:
    """Id and parameters of a spec; ``kind`` names the thing in errors. Raises ``UsageError``."""
    found = _SPEC.match(spec.strip())
    if found is None:
        raise UsageError(f"{kind} '{spec}' is not written ID or ID(parameter=value)")
    values: dict[str, Any] = {}
    for part in _outside_brackets(found["parameters"] or "", ",", "[{", "]}"):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"{kind} '{spec}': '{part.strip()}' is not written parameter=value")
        try:
            found_value = from_yaml(value)[0]
            # As a kernel's version, 3.10 is not 3.1. So it stays text, which a field of numbers reads too.
            lossy = isinstance(found_value, float) and str(found_value) != value.strip()
            values[name.strip()] = value.strip() if lossy else found_value
        except PlainDataError as error:
            wrong = f"'{value.strip()}' can't be read as a value: {error}"
            raise UsageError(f"{kind} '{spec}': {wrong}") from None
    return found["id"], values


def split(spec: str, kind: str) -> list[str]:
    """The parts of ``A+B(x=1)+C``; a ``+`` inside parentheses separates nothing. Raises ``UsageError``."""
    parts = _outside_brackets(spec, "+", "(", ")")
    if len(parts) > 1 and not all(part.strip() for part in parts):
        raise UsageError(f"{kind} '{spec}': there must be something on both sides of '+'")
    return parts


def _outside_brackets(text: str, separator: str, opening: str, closing: str) -> list[str]:
    """The parts of a text between separators that stand in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in opening) - (letter in closing)
        if letter == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def written(identifier: str, values: Mapping[str, Any]) -> str:
    """The spec of an id with parameters."""
    if not values:
        return identifier
    text = ",".join(f"{name}={value_text(value)}" for name, value in values.items())
    return f"{identifier}({text})"


def value_text(value: Any) -> str:
    """A value as a spec has it, without spaces: ``true``, ``[a,b]``, ``{403: never}``."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(value_text, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{value_text(key)}: {value_text(each)}' for key, each in value.items())}}}"
    return str(value)


def parameters(thing: Any) -> dict[str, Any]:
    """Name and value of each parameter of a dataclass instance (``None`` has none)."""
    return {} if thing is None else {each.name: getattr(thing, each.name) for each in fields(thing)}


def configured(thing: T, values: Mapping[str, Any], name: str) -> T:
    """A copy of a dataclass instance with parameters set. Raises ``UsageError`` naming a wrong one."""
    if not values:
        return thing
    known = parameters(thing)
    for each in values:
        if each not in known:
            raise UsageError(f"{name} has no parameter '{each}' (parameters: {', '.join(known) or 'none'})")
    try:
        adapter: TypeAdapter[T] = _adapter(type(thing))  # type: ignore[arg-type]  # classes hash
        return adapter.validate_python({**known, **values})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{name}, parameter '{where}': {first['msg']}") from None


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def unknown(kind: str, wanted: str, known: Iterable[str]) -> UsageError:
    """The error for an unknown id, with near names or, if it is short, the whole list."""
    names = list(known)
    near = get_close_matches(wanted, names, n=3)
    if near:
        fix = f"; did you mean {' or '.join(near)}?"
    else:
        fix = f"; known are {', '.join(names)}" if len(names) <= 12 else f"; see 'siplab {kind}s'"
    return UsageError(f"unknown {kind} '{wanted}'{fix}")
