"""Text of users' files to plain data: YAML and JSON, with limits on size, nesting and numbers.

The rules of this file:

- Whatever the text, reading it ends soon, in data or in a ``PlainDataError`` that names the line.
- A key that stands twice in a mapping is an error: nobody knows which of the two was meant.
- Numbers are finite, and no longer than ``_DIGITS``; nothing is nested deeper than ``_DEPTH``; aliases
  unfold to no more than ``_NODES`` values.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

LARGEST: Final = 64 * 1024 * 1024  # bytes of a file
LARGEST_EXACT: Final = (
    2**53 - 1
)  # up to it whole numbers of JSON are exact for every reader (RFC 8259 section 6)
_DEPTH: Final = 100
_NODES: Final = 2_000_000
_DIGITS: Final = 40
_REREAD: Final = 4000  # characters: the longest text that is read again for a better message
_REREAD_JSON: Final = 100_000
_FAST: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT, _FLOAT, _MERGE = (f"tag:yaml.org,2002:{each}" for each in ("int", "float", "merge"))


class PlainDataError(ValueError):
    """The text can't be read. ``line``: where, from 1; 0 for unknown."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line

    @property
    def place(self) -> str:
        """The line as it follows a file's name: ``:3``, or nothing."""
        return f":{self.line}" if self.line else ""


def text_of(path: Path) -> str:
    """The text of a file, unpacked if its name ends in ``.gz``.

    Raises ``OSError``, and ``ValueError`` if the file is too large or is not UTF-8.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except (EOFError, zlib.error):
        raise OSError("it is packed with gzip, and damaged") from None
    except ValueError:  # a NUL in the name
        raise OSError(f"no file has such a name: {str(path)!r}") from None
    if len(data) > LARGEST:
        raise PlainDataError(0, f"it is larger than {LARGEST // 1024 // 1024} MiB")
    return data.decode("utf-8")


def from_yaml(text: str) -> tuple[Any, yaml.Node | None]:
    """The data of a YAML document, and its nodes, which know their lines. Raises ``PlainDataError``."""
    try:
        return _read(text, _FAST)
    except yaml.YAMLError as error:
        if len(text) > _REREAD:
            raise _as_plain(error) from None
    try:  # the other reader has better error messages, but takes quadratic time
        return _read(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _as_plain(error) from None


def from_json(text: str) -> Any:
    """The data of a JSON document. Raises ``PlainDataError``."""
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_int=lambda digits: _number(digits, int),
            parse_float=lambda digits: _number(digits, float),
            parse_constant=lambda name: _refuse(f"{name} is no number of JSON"),
        )
    except json.JSONDecodeError as error:
        raise PlainDataError(error.lineno, f"not JSON: {error.msg}, column {error.colno}") from None
    except RecursionError:
        raise PlainDataError(0, "it is nested too deeply") from None
    except PlainDataError:
        if len(text) <= _REREAD_JSON:
            from_yaml(text)  # JSON is YAML, whose reader knows the lines
        raise


def _read(text: str, kind: Any) -> tuple[Any, yaml.Node | None]:
    try:
        loader = kind(text)
    except UnicodeEncodeError:
        raise PlainDataError(0, "not YAML: a lone surrogate is no character") from None
    try:
        node = loader.get_single_node()
        if node is None:
            return None, None
        for each in _checked(node):
            if not _is_finite(each, loader):
                raise PlainDataError(_line(each), f"{each.value} is no finite number")
        return loader.construct_document(node), node
    except RecursionError:
        raise PlainDataError(0, "it is nested too deeply") from None
    except PlainDataError:
        raise
    except ValueError as error:  # a date that no calendar has
        raise PlainDataError(0, str(error)) from None
    finally:
        loader.dispose()


def _is_finite(node: yaml.ScalarNode, loader: Any) -> bool:
    """Whether a scalar is a finite number, or no number; text in quotes never is one.

    ``nan`` and ``1e999`` are text to YAML 1.1, but numbers to the code that reads the field.
    """
    if node.tag == _FLOAT:
        return math.isfinite(loader.construct_object(node))
    try:
        return bool(node.style) or math.isfinite(float(node.value))
    except (ValueError, OverflowError):
        return True


def _checked(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Every scalar of a document, once. Raises ``PlainDataError`` if the document breaks a limit."""
    sizes: dict[int, int] = {}  # values below a node, by its id, aliases unfolded
    above: list[yaml.Node] = []
    todo = [root]
    while todo:
        node = todo[-1]
        if above and node is above[-1]:  # all nodes below it have been seen
            todo.pop()
            above.pop()
            sizes[id(node)] = 1 + sum(sizes[id(each)] for each in _below(node))
            if sizes[id(node)] > _NODES:
                raise PlainDataError(_line(node), f"its aliases unfold to more than {_NODES:,} values")
        elif id(node) in sizes:
            todo.pop()
        elif isinstance(node, yaml.ScalarNode):
            if node.tag == _INT and len(node.value) > _DIGITS:
                raise PlainDataError(_line(node), f"a number of {len(node.value):,} digits")
            yield node
            sizes[id(node)] = 1
            todo.pop()
        else:
            if len(above) >= _DEPTH:
                raise PlainDataError(_line(node), f"it is nested more than {_DEPTH} deep")
            if isinstance(node, yaml.MappingNode):
                _check_keys(node)
            sizes[id(node)] = 0
            below = _below(node)
            if any(sizes.get(id(each)) == 0 for each in below):
                raise PlainDataError(_line(node), "an alias stands inside of what it stands for")
            above.append(node)
            todo += reversed(below)


def _below(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _check_keys(node: yaml.MappingNode) -> None:
    seen: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise PlainDataError(_line(key), "a key is a word or a number, not a list or a mapping")
        if key.tag == _MERGE:
            raise PlainDataError(_line(key), "'<<' is not understood: write the fields out")
        name = (key.tag, key.value)
        if name in seen:
            raise PlainDataError(_line(key), f"'{key.value}' stands in line {seen[name]} already")
        seen[name] = _line(key)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _as_plain(error: yaml.YAMLError) -> PlainDataError:
    if isinstance(error, yaml.MarkedYAMLError):
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return PlainDataError(line, f"not YAML: {error.problem}")
    return PlainDataError(0, f"not YAML: {' '.join(str(error).split())}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise PlainDataError(0, f"'{twice}' stands twice in one object")
    return made


def _number(digits: str, kind: type[int] | type[float]) -> int | float:
    if len(digits) > _DIGITS:
        _refuse(f"a number of {len(digits):,} digits")
    value = kind(digits)
    if not math.isfinite(value):
        _refuse(f"{digits} is no finite number")
    return value


def _refuse(why: str) -> Any:
    raise PlainDataError(0, why)
