"""Expectations: flows that the ALG foresees, and lets in when they come (spec 1.9).

Connection tracking compares a new flow's source address (if the expectation names one) and its destination.
For an inbound flow the expectation opens a pinhole of the NAT. An expectation of an outbound flow opens
nothing: it is counted and compared until such a flow comes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from siplab.lab.gateway.binding import Foreseen, Pinhole
from siplab.lab.gateway.context import Context
from siplab.lab.wire.ip import Endpoint

if TYPE_CHECKING:
    from siplab.alg_models.exact._linux.flow import Flow

_Key = TypeVar("_Key")

TIMEOUT: Final = 180.0  # seconds, of every class, from the moment an expectation is made


class Kind(StrEnum):
    """The classes of expectations."""

    SIGNALLING = "signalling"
    AUDIO = "audio"
    VIDEO = "video"
    IMAGE = "image"
    VIA = "via"  # Netgear's: answers to the port that a Via names


SIGNALLING: Final = (Kind.SIGNALLING, Kind.VIA)

# How many expectations of a class one flow may have; one more ends the oldest.
MOST: Final = {Kind.SIGNALLING: 1, Kind.VIA: 1, Kind.AUDIO: 4, Kind.VIDEO: 4, Kind.IMAGE: 2}


class Verdict(StrEnum):
    """The result of an attempt to add an expectation."""

    DONE = "done"
    BUSY = "busy"  # another expectation stands in the way: try another port
    ALREADY = "already"  # another flow or class expects exactly this


@dataclass(eq=False)
class Expectation:
    """A foreseen flow: from ``source`` (an address; empty: from anybody) to ``destination``.

    ``saved``: the destination as written in the message; the flow is delivered there.
    ``permanent``: the expectation stays when its flow comes. If it is not ``active``, it admits nobody.
    """

    master: Flow
    kind: Kind
    protocol: int
    source: str
    destination: Endpoint
    saved: Endpoint
    permanent: bool = False
    active: bool = True
    expires: float = 0.0
    pinhole: Pinhole | None = None  # for an inbound flow
    foreseen: Foreseen | None = None  # for an outbound flow

    def alive(self, now: float) -> bool:
        """Whether it still waits: its time is not over, and its flow has not come."""
        if now >= min(self.expires, self.master.expires):
            return False
        return not ((self.pinhole and self.pinhole.used) or (self.foreseen and self.foreseen.used))


@dataclass
class Expectations:
    """All expectations of a router, the oldest first."""

    _all: dict[tuple[int, Endpoint], list[Expectation]] = field(default_factory=dict)
    _of: dict[Flow, list[Expectation]] = field(default_factory=dict)

    def at(self, protocol: int, destination: Endpoint, now: float) -> list[Expectation]:
        """The live expectations for one destination."""
        found = self._all.get((protocol, destination), [])
        return [each for each in found if each.alive(now)]

    def find(self, protocol: int, source: str, destination: Endpoint, now: float) -> Expectation | None:
        """The latest expectation that a flow would match, active or not."""
        for each in reversed(self.at(protocol, destination, now)):
            if not each.source or each.source == source:
                return each
        return None

    def of(self, master: Flow, now: float) -> list[Expectation]:
        """The live expectations that a flow made."""
        return [each for each in self._of.get(master, ()) if each.alive(now)]

    def relate(
        self,
        new: Expectation,
        context: Context,
        *,
        skip_master: bool,
        symmetric: bool,
        seconds: float = TIMEOUT,
    ) -> Verdict:
        """Add an expectation for ``seconds``.

        ``skip_master``: an equal expectation of another flow gives ``ALREADY``, not ``BUSY``.
        ``symmetric``: packets from the inside endpoint leave by the expected port.
        """
        now = context.now
        for each in self.at(new.protocol, new.destination, now):
            same_flow = each.master is new.master
            if each.source == new.source and (same_flow or skip_master):
                if each.kind is not new.kind or not same_flow:
                    return Verdict.ALREADY
                self.remove(each, context)
                break
            if not (each.source and new.source and each.source != new.source):
                return Verdict.BUSY
        if new.destination.ip == context.nat.public_ip and context.is_inside(new.saved.ip):
            new.pinhole = context.expect(
                new.saved,
                new.destination.port,
                new.source,
                seconds,
                protocol=new.protocol,
                once=not new.permanent,
                inspected=new.kind in SIGNALLING,
                active=new.active,
                symmetric=symmetric,
            )
            if new.pinhole is None and new.kind not in SIGNALLING:
                return Verdict.BUSY  # another flow has that port, and here two flows can't share one
            # A phone that sends from another port than it listens on shares one public port with its calls.
            # The registrar's calls come by the phone's own flow; here, those from another port are not let
            # in.
        elif not new.permanent and not context.is_inside(new.destination.ip):
            new.foreseen = context.nat.foresee(new.protocol, new.source, new.destination)
        held = [each for each in self.of(new.master, now) if each.kind is new.kind]
        if len(held) >= MOST[new.kind]:
            self.remove(held[0], context)
        new.expires = now + seconds
        self._all.setdefault((new.protocol, new.destination), []).append(new)
        self._of.setdefault(new.master, []).append(new)
        return Verdict.DONE

    def activate(self, expectation: Expectation, seconds: float, context: Context) -> None:
        """Make an expectation active for ``seconds`` from now."""
        expectation.active = True
        expectation.expires = context.now + seconds
        if expectation.pinhole is not None:
            admitted = Endpoint(expectation.source, 0) if expectation.source else None
            expectation.pinhole.remote = admitted
            expectation.pinhole.expires = min(expectation.expires, expectation.master.expires)

    def remove(self, expectation: Expectation, context: Context) -> None:
        """End an expectation."""
        _take_out(self._all, (expectation.protocol, expectation.destination), expectation)
        _take_out(self._of, expectation.master, expectation)
        if expectation.pinhole is not None:
            context.nat.close(expectation.pinhole)
        if expectation.foreseen is not None:
            context.nat.overlook(expectation.protocol, expectation.destination, expectation.foreseen)

    def follow(self, master: Flow) -> None:
        """Let no pinhole outlast the flow that made it."""
        for each in self._of.get(master, ()):
            if each.pinhole is not None:
                each.pinhole.expires = min(each.expires, master.expires)

    def flush(self, master: Flow, context: Context, *, media: bool) -> None:
        """End a flow's expectations of media, or its expectation of signalling."""
        for each in list(self._of.get(master, ())):
            if each.kind not in SIGNALLING if media else each.kind is Kind.SIGNALLING:
                self.remove(each, context)

    def shorten(self, master: Flow, context: Context, idle: float) -> None:
        """End expected media flows that have begun after ``idle`` seconds without a packet."""
        for each in self._of.get(master, ()):
            if each.kind not in SIGNALLING and each.pinhole is not None and each.pinhole.used:
                context.limit_media(each.destination.port, idle)

    def forget(self, master: Flow, context: Context) -> None:
        """End all expectations of a flow that has ended."""
        for each in list(self._of.get(master, ())):
            self.remove(each, context)


def _take_out(table: dict[_Key, list[Expectation]], key: _Key, expectation: Expectation) -> None:
    kept = [each for each in table.get(key, ()) if each is not expectation]
    if kept:
        table[key] = kept
    else:
        table.pop(key, None)
