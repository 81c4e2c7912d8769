"""The records of an examination: what the client sent and received, and what the reflector reports.

The ``Observations`` are made from them. This file sends nothing, and draws no conclusions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from siplab.lab.probing.behind_proxy import is_proxys_own, without_proxy
from siplab.lab.probing.observation import SeenDatagram, Transit, compare
from siplab.lab.probing.probe_plan import OTHER, Observations, Probe, ReflectorAddress
from siplab.lab.probing.probe_wire import digest, kind_of, marks_of
from siplab.lab.wire.ip import Endpoint, is_address

MOST_ROWS: Final = 4096  # in a report


def told_endpoint(ip: object, port: object) -> Endpoint:
    """An endpoint that a remote side named. Raises ``ValueError`` if it is none."""
    if not isinstance(ip, str) or not is_address(ip) or "%" in ip:
        raise ValueError("no address")
    if not isinstance(port, int) or not 0 < port < 65536:
        raise ValueError("no port")
    return Endpoint(ip, port)


class Row:
    """One row of the reflector's report. Raises ``ValueError`` or ``TypeError`` if it is malformed."""

    __slots__ = ("copies", "first", "heard", "last", "name", "peer", "port")

    def __init__(self, cells: Any) -> None:
        heard, port, ip, peer, name, copies, first, last = cells
        self.heard = bool(heard)
        self.port = int(port)
        self.peer = told_endpoint(ip, peer)
        self.name = str(name)
        self.copies = int(copies)
        self.first = float(first)
        self.last = float(last)
        if not (math.isfinite(self.first) and math.isfinite(self.last)):
            raise ValueError("no time")


class ProbeLog:
    """All that is known so far. ``complete``: the reflector's report and every text in it are known."""

    def __init__(self, local: Endpoint, site: ReflectorAddress, probes: Mapping[bytes, Probe]) -> None:
        self.local = local
        self.site = site
        self.probes = dict(probes)
        self.complete = False
        self.public: Endpoint | None = None
        self.unreachable = 0
        self.asked_at = 0.0  # when the latest report was asked for
        self.rows: dict[int, Row] = {}
        self.texts: dict[str, bytes] = {}  # digest in the report -> the datagram
        self.wires: dict[bytes, bytes] = {}  # mark -> the probe as it was sent
        self.came: dict[bytes, set[str]] = {}  # mark -> the kinds of messages that the probe brought
        self.twins: dict[bytes, list[bytes]] = {}  # mark -> marks of its twins
        self._by_proxy: set[bytes] = set()
        self._behind_proxy: set[bytes] = set()  # the marks of these datagrams
        self._unmarked: set[str] = set()
        self._sent: dict[tuple[Endpoint, int, bytes], list[float]] = {}
        self._heard: dict[tuple[Endpoint, Endpoint, bytes], list[float]] = {}

    # -- entries ---------------------------------------------------------------------------------

    def sends(self, local: Endpoint, remote: Endpoint, wire: bytes, now: float) -> None:
        """The client sends a datagram."""
        if remote == self.site.proxy:
            self._by_proxy.add(wire)
            self._behind_proxy.update(marks_of(wire))
        self._sent.setdefault((local, remote.port, wire), []).append(now)

    def hears(self, local: Endpoint, source: Endpoint, payload: bytes, now: float) -> None:
        """The client receives a datagram."""
        self._heard.setdefault((local, source, payload), []).append(now)
        if not marks_of(payload):
            self._unmarked.add(kind_of(payload))

    def port_of(self, probe: Probe) -> int:
        """The reflector's port that a probe is for."""
        return self.site.other if probe.port == OTHER else probe.port or self.site.port

    def unknown(self) -> list[str]:
        """The digests in the report whose datagrams the client has not seen itself."""
        for _, _, wire in self._sent:
            self.texts.setdefault(digest(wire), wire)
        for _, _, payload in self._heard:
            self.texts.setdefault(digest(payload), payload)
        return list(dict.fromkeys(row.name for row in self.rows.values() if row.name not in self.texts))

    # -- balance ---------------------------------------------------------------------------------

    def transits(self) -> list[Transit]:
        """What became of every message of the probes."""
        site = self.site
        ports = {self.port_of(probe) for probe in self.probes.values()}
        outbound = compare(
            (each for each in self._datagrams_sent() if each.port in ports),
            (each for each in self._datagrams_of(heard=True) if each.port in ports),
            outbound=True,
        )
        known = {site.ip, site.proxy.ip if site.proxy else site.ip}
        inbound = compare(
            (each for each in self._datagrams_of(heard=False) if each.port in ports),
            (
                each
                for each in self._datagrams_heard()
                if each.port in ports or each.far is None or each.far.ip not in known
            ),
            outbound=False,
        )
        # Messages that arrived after the report was requested may have been sent after the report.
        found = outbound + [
            each
            for each in inbound
            if each.sent or each.arrived is None or each.arrived.first < self.asked_at
        ]
        return found if site.proxy is None else [each for each in found if not is_proxys_own(each)]

    def _datagrams_sent(self) -> Iterator[SeenDatagram]:
        for (local, port, wire), times in self._sent.items():
            plain = self._plain(wire, by_proxy=wire in self._by_proxy, arrived=False)
            yield SeenDatagram(local, port, wire, len(times), times[0], times[-1], plain=plain)

    def _datagrams_heard(self) -> Iterator[SeenDatagram]:
        for (local, source, payload), times in self._heard.items():
            plain = self._plain(payload, by_proxy=source == self.site.proxy, arrived=True)
            yield SeenDatagram(local, source.port, payload, len(times), times[0], times[-1], source, plain)

    def _datagrams_of(self, *, heard: bool) -> Iterator[SeenDatagram]:
        """The datagrams that the reflector received, or those that it sent."""
        for row in self.rows.values():
            if row.heard == heard:
                text = self.texts.get(row.name, b"")
                plain = self._plain(text, by_proxy=self._went_by_proxy(text), arrived=heard)
                yield SeenDatagram(row.peer, row.port, text, row.copies, row.first, row.last, plain=plain)

    def _went_by_proxy(self, text: bytes) -> bool:
        """Whether a datagram belongs to one sent through the proxy.

        Its source does not show that, because a proxy inside has a NAT in front of it.
        """
        return any(mark in self._behind_proxy for mark in marks_of(text))

    def _plain(self, payload: bytes, *, by_proxy: bool, arrived: bool) -> bytes:
        """The datagram for the comparison, without a passed proxy's changes; empty: the whole datagram."""
        proxy = self.site.proxy
        return without_proxy(payload, proxy, arrived=arrived) if by_proxy and proxy else b""

    def lacking(self) -> list[bytes]:
        """The marks of the probes of which a message did not arrive, in either direction."""
        seen = self._outset()
        owners = [seen.owner(each) for each in self.transits() if each.arrived is None]
        return list(dict.fromkeys(mark for mark in owners if mark))

    def is_changed(self) -> bool:
        """Whether any message arrived changed."""
        return any(each.sent and each.arrived and each.changed for each in self.transits())

    def _outset(self) -> Observations:
        """The observations without the reflector's part."""
        seen = Observations(self.local, self.site, self.complete, public=self.public)
        seen.unreachable = self.unreachable
        seen.probes = dict(self.probes)
        seen.unmarked = {wire: mark for mark, wire in self.wires.items() if not marks_of(wire)}
        return seen

    def observe(self) -> Observations:
        """All observations that are reliable."""
        seen = self._outset()
        if not self.complete:
            return seen
        seen.transits = self.transits()
        datagrams = list(self._datagrams_of(heard=True))
        heard = {mark for datagram in datagrams for mark in marks_of(datagram.payload)}
        for mark, twins in self.twins.items():
            if marks_of(self.wires[mark]):
                seen.twins[mark] = [(twin in heard, frozenset(self.came[twin])) for twin in twins]
            else:
                seen.twins[mark] = self._counted(self.wires[mark], datagrams, len(twins))
        ports = {(port, mark): local.port for local, port, wire in self._sent for mark in marks_of(wire)[:1]}
        for datagram in datagrams:
            near = ports.get((datagram.port, next(iter(marks_of(datagram.payload)), b"")))
            if near is not None and not self._went_by_proxy(datagram.payload):
                seen.mappings.setdefault((near, datagram.port), []).append(datagram)
        return seen

    def _counted(
        self, wire: bytes, datagrams: list[SeenDatagram], twins: int
    ) -> list[tuple[bool, frozenset[str]]]:
        """The twins of a probe without a mark. They can only be counted."""
        other = self.site.other
        there = sum(each.copies for each in datagrams if each.port == other and each.payload == wire)
        back = sum(
            len(times)
            for (_, source, payload), times in self._heard.items()
            if source.port == other and not marks_of(payload)
        )
        kinds, nothing = frozenset(self._unmarked), frozenset[str]()
        return [(number < there, kinds if number < back else nothing) for number in range(twins)]
