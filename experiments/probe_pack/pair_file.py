"""Pair files: what both sides of a router saw of one exchange, as JSON (``siplab schema pair``)."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from siplab.lab import documents
from siplab.lab.errors import UsageError
from siplab.lab.gateway.sides import Side
from siplab.lab.outputs import write_text
from siplab.lab.version import __version__
from siplab.lab.worlds.pair import Crossing, Departure, Pair

VERSION: Final = 1

Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]
SideName = Literal["inside", "outside"]


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DepartureRow(_Plain):
    """A packet that left the router: on which side, and its bytes from the IP header on."""

    side: SideName
    packet: Base64


class CrossingRow(_Plain):
    """A packet that entered the router, and all that left before the next one entered.

    ``at``: seconds after the exchange began. ``conversation``: the name of the conversation that it belongs
    to.
    """

    at: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    conversation: str
    side: SideName
    packet: Base64
    left: list[DepartureRow] = []


class PairFile(_Plain):
    """The whole file.

    ``public``: the router's address outside. ``headers``: ``wire`` if packets are as on the wire; ``sockets``
    if they were rebuilt from what sockets reported, so that only addresses, ports and payloads count.
    """

    format: Literal["siplab-pair"]
    version: Literal[1]
    siplab: str
    public: str
    headers: Literal["wire", "sockets"] = "wire"
    crossings: list[CrossingRow]


def as_json(pair: Pair) -> dict[str, Any]:
    """A pair as plain data."""
    return {
        "format": "siplab-pair",
        "version": VERSION,
        "siplab": __version__,
        "public": pair.public,
        "headers": "wire" if pair.whole else "sockets",
        "crossings": [
            {
                "at": round(each.at, 6),
                "conversation": each.conversation,
                "side": each.side.name.lower(),
                "packet": _text(each.packet),
                "left": [{"side": row.side.name.lower(), "packet": _text(row.packet)} for row in each.left],
            }
            for each in pair.crossings
        ],
    }


def write(path: Path, pair: Pair) -> None:
    """Write a pair to a file. Raises ``OutputError``."""
    write_text(path, json.dumps(as_json(pair), indent=1, ensure_ascii=False) + "\n")


def is_pair_file(path: Path) -> bool:
    """Whether a file is JSON, as pair files are and captures are not. A file that can't be opened is none."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip().startswith(b"{")
    except OSError:
        return False


def read(path: Path) -> Pair:
    """The pair in a file. Raises ``UsageError`` that names the file and the wrong field."""
    found = documents.read_json(path, PairFile, "pair file (`siplab schema pair` has the form)")
    try:
        return Pair(tuple(_crossing(each) for each in found.crossings), found.public, found.headers == "wire")
    except binascii.Error as error:
        raise UsageError(f"{path}: field 'packet': no Base64: {error}") from None


def _crossing(row: CrossingRow) -> Crossing:
    left = tuple(Departure(_side(each.side), _bytes(each.packet)) for each in row.left)
    return Crossing(row.at, row.conversation, _side(row.side), _bytes(row.packet), left)


def _side(name: str) -> Side:
    return Side.INSIDE if name == "inside" else Side.OUTSIDE


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
