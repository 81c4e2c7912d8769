"""Reading a file into validated objects, with errors that name file, line, field and fix.

Every document that somebody else may have written is read here; ``plain_data`` limits its size and nesting.
People write YAML. Files that this project wrote are JSON; errors then say ``what`` the file should be.
"""

from __future__ import annotations

from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from siplab.lab.errors import UsageError
from siplab.lab.plain_data import PlainDataError, from_json, from_yaml, text_of

M = TypeVar("M", bound=BaseModel)

_LINES_OF: Final = 100_000  # characters: the longest JSON document that is read again to find lines
_NO_TEXT: Final = "can't be read: it is not a text in UTF-8"
_KINDS: Final = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}


class MisplacedError(ValueError):
    """Raised by a validator that looks at several fields: ``place`` is the path of the one to fix."""

    def __init__(self, message: str, *place: str | int) -> None:
        super().__init__(message)
        self.place = place


def read(path: Path, kind: type[M]) -> M:
    """The document in ``path`` as a ``kind``. Raises ``UsageError``: one line about the first fault."""
    return parse(text(path), kind, str(path))


def text(path: Path) -> str:
    """The text of a file. Raises ``UsageError``."""
    try:
        return text_of(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: {_NO_TEXT}") from None
    except ValueError as error:  # too large
        raise UsageError(f"{path}: can't be read: {error}") from None


def decoded(data: bytes, name: str) -> str:
    """The text in bytes that did not come from a file. Raises ``UsageError``."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{name}: {_NO_TEXT}") from None


def parse(text: str, kind: type[M], name: str) -> M:
    """As ``read``, from text; ``name`` stands for the file in errors."""
    try:
        data, node = from_yaml(text)
    except PlainDataError as error:
        raise UsageError(f"{name}{error.place}: {error}") from None
    if not isinstance(data, dict):
        found = "it is empty" if data is None else f"not {_KINDS.get(type(data), 'a single value')}"
        raise UsageError(f"{name}:1: the file must hold 'key: value' lines: {found}")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise _misfit(error, data, node, kind, name) from None


def read_json(path: Path, kind: type[M], what: str) -> M:
    """The JSON document in ``path`` as a ``kind``. Raises ``UsageError``, as ``read`` does."""
    return parse_json(text(path), kind, str(path), what)


def parse_json(text: str, kind: type[M], name: str, what: str) -> M:
    """As ``read_json``, from text."""
    data = plain(text, name, what)
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        node = None
        if len(text) <= _LINES_OF:
            with suppress(PlainDataError):
                node = from_yaml(text)[1]  # JSON is YAML, whose nodes know their lines
        raise _misfit(error, data, node, kind, name, what) from None


def plain(text: str, name: str, what: str) -> dict[str, Any]:
    """The object in a JSON document, not validated. Raises ``UsageError``."""
    try:
        data = from_json(text)
    except PlainDataError as error:
        raise UsageError(f"{name}{error.place}: no {what}: {error}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{name}: no {what}: the file must hold an object, `{{...}}`")
    return data


def as_kind(data: object, kind: type[M], name: str, what: str) -> M:
    """Data from ``plain`` as a ``kind``. Raises ``UsageError``."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise _misfit(error, data, None, kind, name, what) from None


def _misfit(
    error: ValidationError, data: object, node: yaml.Node | None, kind: type[M], name: str, what: str = ""
) -> UsageError:
    """The error about the first fault of ``data``. ``node``: of the document, to find the line."""
    first = error.errors()[0]
    place = _place(data, first["loc"], missing=first["type"] == "missing")
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, MisplacedError):
        place += cause.place
    field = ".".join(str(part) for part in place) or "(whole file)"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = f"unknown field{_known_fields(kind, place)}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    line = f":{_line_of(node, place)}" if node is not None else ""
    is_none = f"no {what}: " if what else ""
    return UsageError(f"{name}{line}: {is_none}field '{field}': {message}{more}")


def fault(error: ValidationError) -> str:
    """The first fault of data that did not come from a YAML file: ``field 'a.0.b': what is wrong``."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "(whole file)"
    return f"field '{field}': {first['msg'].removeprefix('Value error, ')}"


def _place(data: object, location: tuple[str | int, ...], *, missing: bool) -> list[str | int]:
    """The path of a field in the document, or of one that is ``missing``.

    Pydantic's path also names the members of unions, which no document has.
    """
    place: list[str | int] = []
    for index, part in enumerate(location):
        found = (
            part in data if isinstance(data, dict) else isinstance(data, list) and part in range(len(data))
        )
        if found:
            data = data[part]  # type: ignore[index]
        elif not missing or index + 1 < len(location):
            continue
        place.append(part)
    return place


def _line_of(root: yaml.Node, place: list[str | int]) -> int:
    """The line on which the field at ``place`` stands, or the nearest one around it."""
    node: yaml.Node | None = root
    line = root.start_mark.line + 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, node = key.start_mark.line + 1, value
                    break
            else:
                return line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _known_fields(kind: type[BaseModel], place: list[str | int]) -> str:
    """Which fields may stand there instead of the last part of ``place``, as words for an error."""
    within: Any = kind
    for part in place[:-1]:
        field = within.model_fields.get(part)
        within = field.annotation if field is not None else None
        models = [each for each in (within, *get_args(within)) if isinstance(each, type)]
        within = next((each for each in models if issubclass(each, BaseModel)), None)
        if within is None:
            return ""
    near = get_close_matches(str(place[-1]), within.model_fields, n=3)
    if len(within.model_fields) > 20 and near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; known fields are {', '.join(within.model_fields)}"
