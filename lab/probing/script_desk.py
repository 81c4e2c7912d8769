"""The server's part in an open-loop script: it sends what a client's script asks for, and reports arrivals.

A detection client plays both sides of a script (``siplab detect run --probe-pack``). For each packet from
outside, the client asks on the control port that these bytes be sent now. After each packet it asks what
arrived here.

The rules of this file:

- A datagram is sent only to the address that asked for it: the client has proven that it receives there
  (``anti_amplification``). Its target port must be one from which something came, or at least 1024, so that
  it is no service's port.
- It is sent once per number, however often the request is repeated.
- The numbers of running scripts, and of stored items for each, are limited. An address has one script at a
  time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from siplab.lab.probing.anti_amplification import network_of
from siplab.lab.probing.probe_wire import pack
from siplab.lab.sip.base import Action, Send
from siplab.lab.wire.ip import Endpoint

STEP: Final = "step"
BUSY: Final = "busy"
LARGEST: Final = 1472  # bytes of a datagram to send: none needs fragments
_FIRST_UNRESERVED: Final = 1024  # the first port that is not a system port (RFC 6335 section 6)
_LONGEST_NAME: Final = 32  # characters
_MOST: Final = 1 << 31  # numbers are smaller
_PAGE: Final = 3000  # bytes of arrived datagrams in one answer
_IN_USE: Final = 60.0  # seconds for which a silent script blocks others from its address
_LIFETIME: Final = 600.0  # seconds after which a silent script is forgotten


@dataclass
class _Row:
    """A datagram that arrived."""

    port: int
    source: Endpoint
    payload: bytes

    def cells(self) -> list[Any]:
        return [self.port, self.source.ip, self.source.port, self.payload.decode("latin-1")]


@dataclass
class _Playing:
    """One running script. ``first``: the number of the first stored row."""

    name: str
    last: float
    number: int = 0
    first: int = 0
    size: int = 0
    rows: list[_Row] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)


class ScriptDesk:
    """The running scripts.

    ``ports``: those from which it sends. It stores at most ``scripts``, and ``per_source`` of one network;
    for each script ``rows`` with ``room`` bytes, and ``sources``: ports from which something came.
    """

    def __init__(
        self,
        ports: Sequence[int],
        *,
        scripts: int = 32,
        per_source: int = 4,
        rows: int = 64,
        room: int = 32 * 1024,
        sources: int = 1024,
    ) -> None:
        self._ports = frozenset(ports)
        self._scripts, self._per_source = scripts, per_source
        self._rows, self._room, self._sources = rows, room, sources
        self._playing: OrderedDict[str, _Playing] = OrderedDict()

    def __len__(self) -> int:
        return len(self._playing)

    def knows(self, ip: str, now: float) -> bool:
        """Whether a script of that address is running."""
        found = self._playing.get(ip)
        if found is not None and now - found.last > _LIFETIME:
            del self._playing[ip]
            found = None
        return found is not None

    def hear(self, payload: bytes, source: Endpoint, local: Endpoint) -> None:
        """A datagram arrived from an address with a running script."""
        playing = self._playing[source.ip]
        if len(playing.ports) < self._sources:
            playing.ports.add(source.port)
        if len(playing.rows) < self._rows and playing.size + len(payload) <= self._room:
            playing.size += len(payload)
            playing.rows.append(_Row(local.port, source, payload))

    def converse(self, asked: dict[str, Any], source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        """Handle a request at the control port ``local``, whose sender has proven its address."""
        match asked:
            case {"s": str(name), "n": int(number), "seen": int(seen)} if (
                len(name) <= _LONGEST_NAME and 0 <= number < _MOST and 0 <= seen < _MOST
            ):
                pass
            case _:
                return []
        if self.knows(source.ip, now) and self._playing[source.ip].name != name:
            if now - self._playing[source.ip].last < _IN_USE:
                return [Send(local, source, pack({"s": name, "t": BUSY, "n": number}))]
            del self._playing[source.ip]
        if source.ip not in self._playing:
            self._make_room(source.ip)
        playing = self._playing.setdefault(source.ip, _Playing(name, now, first=seen))
        self._playing.move_to_end(source.ip)
        playing.last = now
        self._forget(playing, seen)
        actions: list[Action] = []
        if number > playing.number:
            playing.number = number
            actions += self._sending(playing, asked.get("send"), source, local)
        rows: list[list[Any]] = []
        size = 0
        for each in playing.rows:
            size += len(each.payload)
            if rows and size > _PAGE:
                break
            rows.append(each.cells())
        answer = {"s": name, "t": STEP, "n": number, "you": list(source), "from": playing.first, "rows": rows}
        return [*actions, Send(local, source, pack(answer))]

    def _make_room(self, ip: str) -> None:
        """Forget the longest silent script of a source that has many, or the longest silent of all."""
        own = [each for each in self._playing if network_of(each) == network_of(ip)]
        if len(own) >= self._per_source:
            del self._playing[own[0]]
        while len(self._playing) >= self._scripts:
            self._playing.popitem(last=False)

    def _forget(self, playing: _Playing, seen: int) -> None:
        """The client has got the rows before number ``seen``: delete them."""
        gone = playing.rows[: max(0, seen - playing.first)]
        del playing.rows[: len(gone)]
        playing.first += len(gone)
        playing.size -= sum(len(each.payload) for each in gone)

    def _sending(self, playing: _Playing, what: Any, source: Endpoint, local: Endpoint) -> list[Action]:
        match what:
            case [int(port), int(target), str(text)] if port in self._ports and 0 < target < 65536:
                if target < _FIRST_UNRESERVED and target not in playing.ports:
                    return []
                if len(text) > LARGEST or not all(ord(each) < 256 for each in text):
                    return []
                payload = text.encode("latin-1")
                return [Send(Endpoint(local.ip, port), Endpoint(source.ip, target), payload)]
        return []
