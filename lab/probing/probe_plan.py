"""The parts of an examination and its result: probes, the reflector's address, observations.

This file sends and receives nothing, and draws no conclusions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from siplab.lab.probing.observation import SeenDatagram, Transit
from siplab.lab.probing.reflector import CONTROL_PORT
from siplab.lab.sip.messages import Incoming
from siplab.lab.wire.ip import Endpoint

T1: Final = 0.5  # seconds, RFC 3261 section 17.1.1.1
ENOUGH: Final = 5  # copies that must be missing, and twins that must have arrived

OTHER: Final = -1

Answers = Mapping[str, Incoming]
Compose = Callable[[bytes, Answers, Mapping[str, bytes]], bytes]
"""``compose(mark, answers, sent)``: a probe's bytes.

Its arguments have, by the names of earlier probes, the last answer to each and the bytes of each.
"""


@dataclass(frozen=True)
class Probe:
    """One probe: its name, its bytes (made when it is sent), and its orders for the reflector.

    ``direct``: sent without the proxy, if there is one. ``expects``: how many different messages it should
    bring, by default one per order. ``port`` and ``source``: the reflector's and the client's port, 0 for the
    usual ones; ``OTHER``: the reflector's other port. ``wait``: seconds before it is repeated.
    """

    name: str
    compose: Compose
    orders: tuple[str, ...] = ()
    expects: int = -1
    port: int = 0
    source: int = 0
    direct: bool = False
    wait: float = T1

    @property
    def due(self) -> int:
        return len(self.orders) if self.expects < 0 else self.expects


@dataclass(frozen=True)
class ReflectorAddress:
    """A reflector's address for its clients, and the proxy through which they should reach it, if any."""

    ip: str
    port: int = 5060
    other: int = 6060
    control: int = CONTROL_PORT
    proxy: Endpoint | None = None


@dataclass
class Observations:
    """The result of an examination. ``complete``: the reflector's report is complete.

    ``transits``: of the probes. ``twins``: for each repeated probe, for each of its twins on the other port,
    whether the reflector heard it, and which kinds of messages it brought. ``mappings``: for each pair of the
    client's and the reflector's ports, the datagrams that the reflector received and their sources.
    """

    local: Endpoint
    site: ReflectorAddress
    complete: bool
    transits: list[Transit] = field(default_factory=list)
    probes: dict[bytes, Probe] = field(default_factory=dict)
    unmarked: dict[bytes, bytes] = field(default_factory=dict)  # bytes of a probe without a mark -> its mark
    twins: dict[bytes, list[tuple[bool, frozenset[str]]]] = field(default_factory=dict)
    mappings: dict[tuple[int, int], list[SeenDatagram]] = field(default_factory=dict)
    public: Endpoint | None = None  # of the control flow
    unreachable: int = 0

    def owner(self, transit: Transit) -> bytes:
        """The mark of the probe to which a message belongs; empty if there is none."""
        for mark in transit.marks:
            if mark in self.probes:
                return mark
        if transit.marks or not self.unmarked:
            return b""
        if transit.outbound and transit.sent is not None:
            return self.unmarked.get(transit.sent.payload, b"")
        return next(iter(self.unmarked.values()))

    def is_gone(self, transit: Transit) -> bool:
        """Whether a missing message was blocked: no copy arrived, while its twins did.

        If other messages arrived changed, fewer copies are enough.
        """
        if transit.sent is None or transit.arrived is not None:
            return False
        twins = self.twins.get(self.owner(transit), [])
        through = sum(heard if transit.outbound else transit.kind in kinds for heard, kinds in twins)
        enough = 2 if self.changed else ENOUGH
        return transit.sent.copies >= enough and through >= enough

    @cached_property
    def changed(self) -> list[tuple[Transit, list[str]]]:
        """Messages that arrived changed, with the names of the changed parts."""
        rows = [(each, each.changed) for each in self.transits if each.sent and each.arrived]
        return [row for row in rows if row[1]]

    @cached_property
    def missing(self) -> list[Transit]:
        return [each for each in self.transits if each.arrived is None]

    @cached_property
    def strange(self) -> list[Transit]:
        return [each for each in self.transits if each.sent is None]
