"""Routers that each lose one thing: a header field, a method, a status code, an SDP line or attribute.

They change nothing else. No real router is known to do exactly this. The models measure detectors: if a
detector's exchange does not contain a thing, a router can lose that thing unnoticed. The names are in
``losses.yaml``, with their sources.

The catalogue finds these models by a spec such as ``loses(header=Record-Route)``. Of its lists only
``losses`` has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from siplab.lab import documents
from siplab.lab.gateway.alg import Card, Context, Example, Model, Recipe
from siplab.lab.wire.sip import SipMessage

NAMES: Final = Path(__file__).with_name("losses.yaml")
Kind = Literal["header", "method", "status", "line", "attribute"]
KINDS: Final[tuple[Kind, ...]] = ("header", "method", "status", "line", "attribute")
_SDP_LINE: Final = re.compile(rb"([a-z])=(?:([A-Za-z0-9-]+))?")


@dataclass(frozen=True)
class Loses:
    """Lose one thing; set one parameter only.

    Removed from messages: the header field (its compact form too), SDP lines of the letter ``line``, or the
    SDP attribute. Dropped: requests with the ``method``, or responses with the ``status``.
    """

    header: str = ""
    method: str = ""
    status: int = 0
    line: str = ""
    attribute: str = ""

    def recipe(self) -> Recipe:
        return Recipe(last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if self.header:
            lost = self.header.lower().encode()
            message.fields = [field for field in message.fields if field.name != lost]
        if self.status and message.status == self.status:
            context.drop("this model loses the status")
        if self.method and message.is_request and message.method == self.method.encode():
            context.drop("this model loses the method")
        if self.line or self.attribute:
            self._remove_lines(message)

    def _remove_lines(self, message: SipMessage) -> None:
        if b"m=" not in message.body:  # no description
            return
        rows = message.body.splitlines(keepends=True)
        kept = [row for row in rows if not self._is_lost(row)]
        if len(kept) != len(rows):
            message.body = b"".join(kept)
            message.fit_content_length()

    def _is_lost(self, row: bytes) -> bool:
        found = _SDP_LINE.match(row)
        if found is None:
            return False
        if self.line and found[1] == self.line.encode():
            return True
        return bool(self.attribute) and found[1] == b"a" and found[2] == self.attribute.encode()


_CARD: Final = Card(
    "Loses one thing, both ways, and changes nothing else.",
    kind="loss",
    examples=(Example("register", b"Max-Forwards: 70", b"Max-Forwards: 70"),),
)
MODEL: Final = Model("loses", _CARD, fault=Loses())


def loss(kind: Kind, name: str) -> Model:
    """The model that loses the header, method, status, line or attribute with this name."""
    return MODEL.with_parameters({kind: int(name) if kind == "status" else name})


class NamesOfOneSource(BaseModel):
    """Names from one source (``source`` says which). A status is a number in quotes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    header: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    line: tuple[str, ...] = ()
    attribute: tuple[str, ...] = ()


class Names(BaseModel):
    """The file ``losses.yaml``: ``traffic`` has names from captures, ``scenarios`` from the lab's calls."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    traffic: NamesOfOneSource
    scenarios: NamesOfOneSource


@cache
def load() -> Names:
    """The names in the file. Raises ``UsageError`` for a damaged file."""
    return documents.read(NAMES, Names)


def models() -> list[Model]:
    """One model for each name, without duplicates."""
    sources = (load().traffic, load().scenarios)
    rows = [(kind, name) for kind in KINDS for source in sources for name in getattr(source, kind)]
    return [loss(kind, name) for kind, name in dict.fromkeys(rows)]


def names(message: SipMessage) -> Iterator[tuple[Kind, str]]:
    """Everything in a message that a router could lose, as kind and name; headers in small letters."""
    if message.is_response:
        yield "status", str(message.status)
    elif message.method:
        yield "method", message.method.decode("ascii", "replace")
    for field in message.fields:
        yield "header", field.name.decode("ascii", "replace")
    if b"m=" not in message.body:
        return
    for row in message.body.splitlines():
        found = _SDP_LINE.match(row)
        if found is not None:
            yield "line", found[1].decode()
            if found[1] == b"a" and found[2]:
                yield "attribute", found[2].decode()
