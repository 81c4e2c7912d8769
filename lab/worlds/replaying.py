"""A pair's packets through another router: the same bytes at the same times.

The rules of this file:

- The comparison ignores how a NAT chooses its ports: the other router takes the ports that the first one was
  seen to choose, where they are free.
- The packets that left show which port the first router chose for an inside endpoint. These are tried in this
  order: for the sender of the packet, the source port with which it left; for other endpoints, the port that
  the router wrote in the endpoint's place; the source port of a later packet from there; what the router
  wrote in its place later; the inside port, if a session description still has it and the router preserves
  ports; any port that the router wrote. If the router does not preserve ports, and no packet shows the port,
  a port is taken that appears nowhere in the exchange.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Final

from siplab.lab.gateway.gateway import Gateway
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.worlds.pair import Crossing, Pair, departures

_MEDIA_PORT: Final = re.compile(rb"^m=\w+ (\d+)", re.MULTILINE)
_RTCP_PORT: Final = re.compile(rb"^a=rtcp:(\d+)", re.MULTILINE)  # RFC 3605
_SOURCE_PORT: Final = re.compile(rb";\s*rport=(\d+)", re.IGNORECASE)  # RFC 3581
_NUMBER: Final = re.compile(rb"(?<!\d)\d{1,5}(?!\d)")
_LAST_PORT: Final = 65535


def replayed(pair: Pair, gateway: Gateway) -> Iterator[Crossing]:
    """For each packet that entered the first router: the same packet, with what leaves the other router."""
    ports = _ObservedPorts(pair)
    gateway.nat.suggest = ports.suggested
    for number, each in enumerate(pair.crossings):
        ports.at = number
        yield each._replace(left=departures(gateway.handle(each.packet, each.side, each.at)))
    gateway.nat.suggest = None


def replay(pair: Pair, gateway: Gateway) -> Pair:
    """Send the packets that entered one router through another."""
    return replace(pair, crossings=tuple(replayed(pair, gateway)))


class _ObservedPorts:
    """The public ports that an observed router chose. ``at``: the number of the crossing that is replayed."""

    def __init__(self, pair: Pair) -> None:
        self.at = 0
        self._pair = pair
        self._in_text = _endpoints_of(pair.public)
        self._unused = {0: 0, 1: 0}  # by parity: the index to search the unused ports from

    def suggested(self, protocol: int, inside: Endpoint, now: float, pair: bool) -> Iterator[int]:
        """The ports in packets that left, then those used later. ``pair``: for media, two in a row."""
        flows: list[int] = []
        media: list[int] = []
        texts: list[int] = []
        kept = False
        crossing = self._pair.crossings[self.at]
        own = set(_NUMBER.findall(crossing.packet))
        for each in self._pair.arrivals[self.at]:
            if each.side is Side.OUTSIDE and each.source.ip == self._pair.public:
                flows.append(each.source.port)
            described = _MEDIA_PORT.findall(each.payload) + _RTCP_PORT.findall(each.payload)
            kept = kept or (self._pair.keeps_ports and inside.port in map(int, described))
            # A number that was in the packet before proves nothing.
            for ports, pattern in ((media, _MEDIA_PORT), (texts, self._in_text), (texts, _SOURCE_PORT)):
                ports += [int(found) for found in pattern.findall(each.payload) if found not in own]
            # The odd port of a pair is RTCP's.
            media += [
                int(found) - 1
                for found in _RTCP_PORT.findall(each.payload)
                if pair and found not in own and int(found) & 1
            ]
        later = self._later(protocol, inside, now)
        afterwards = self._written_later(inside, now, pair)
        others = (*media, *texts, *later, *flows) if pair else (*flows, *later, *texts, *media)
        mine, theirs = self._instead(inside, pair)
        # The router may write a wrong port. The port from which packets from there leave is right.
        first = flows if inside == self._source() else sorted(mine, key=lambda port: port not in later)
        if not self._pair.keeps_ports:  # then the inside port was most likely written by mistake
            others += tuple(each for each in first if each == inside.port)
            first, afterwards = (
                [each for each in ports if each != inside.port] for ports in (first, afterwards)
            )
        if kept and not (first or later or afterwards):
            first = [inside.port]
        others = (*(() if later else afterwards), *others)
        for port in (*first, *(each for each in others if not theirs & {each, each + pair})):
            if port < _LAST_PORT:
                yield port
        if not self._pair.keeps_ports:
            parity = 0 if pair else inside.port & 1
            for at in range(self._unused[parity], len(self._pair.unused_ports)):
                self._unused[parity] = at
                if self._pair.unused_ports[at] & 1 == parity:
                    yield self._pair.unused_ports[at]

    def _source(self) -> Endpoint | None:
        """The source of the packet that entered from the inside."""
        crossing = self._pair.crossings[self.at]
        try:
            return ip.parse(crossing.packet).source if crossing.side is Side.INSIDE else None
        except MalformedPacketError:
            return None

    def _instead(self, inside: Endpoint, pair: bool) -> tuple[list[int], set[int]]:
        """What the router wrote in the place of an endpoint, the most certain first; and in that of others.

        For a ``pair``, the neighbouring ports belong to the endpoint, too: the first port may not be in the
        message. An inside port of 0 stands for any.
        """
        written = self._pair.written[self.at]
        places, beside = _places(inside, pair)
        mine = [each.port for place in places for each in reversed(written) if each.inside == place]
        mine += [each.port & ~1 for each in written if each.inside in beside]
        own = (*places, *beside)
        theirs = {each.port for each in written if each.inside not in own and inside.port}
        return mine, theirs - {*mine}

    def _written_later(self, inside: Endpoint, now: float, pair: bool) -> list[int]:
        """What the router wrote in the endpoint's place in later messages, the next message first."""
        known = self._pair.written_for  # of this host only: another host may have the same port
        beside = [inside._replace(port=inside.port + by) for by in (1, -1) if pair]
        mine, near = (
            [one.port for each in ends for at, one in known.get(each, ()) if at >= now and one.media is pair]
            for ends in ([inside] if inside.port else [], beside)
        )
        return mine + [port & ~1 for port in near]

    def _later(self, protocol: int, inside: Endpoint, now: float) -> list[int]:
        return [port for at, port in self._pair.ports_used.get((protocol, inside), ()) if at >= now]


def _places(inside: Endpoint, pair: bool) -> tuple[tuple[Endpoint, ...], tuple[Endpoint, ...]]:
    """How messages may name an endpoint, and the neighbouring endpoints of a pair."""
    places = (inside, Endpoint("", inside.port)) if inside.port else ()
    return places, tuple(each._replace(port=each.port + by) for each in places for by in (1, -1) if pair)


@cache
def _endpoints_of(address: str) -> re.Pattern[bytes]:
    return re.compile(re.escape(address.encode()) + rb"[: ](\d{1,5})(?!\d)")
