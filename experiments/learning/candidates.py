"""A candidate beside what was observed: how far from it is it?

The candidate's router is given what no model can know: the public ports that the observed router chose.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from siplab.experiments.learning.observations import Left, Observation, Place, Session, left_of
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.gateway.nat_config import NatConfig
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.compare import differences
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.wire.labels import label_of
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.trace import looks_like_sip

_OTHERWISE: Final = 4  # as bad as so many parts: a packet that leaves and should not, or the other way round
_MEDIA_PORT: Final = re.compile(rb"^m=\w+ (\d+)", re.MULTILINE)
_LAST_PORT: Final = 65535


@dataclass(frozen=True)
class Observed:
    """A router as it was seen: where it stands, what it did. ``nat``: its settings, as far as is known."""

    place: Place
    sessions: tuple[Session, ...]
    nat: NatConfig = field(default_factory=NatConfig)

    @cached_property
    def messages(self) -> int:
        """How many of the packets that entered are SIP messages."""
        return sum(_is_message(each) for session in self.sessions for each in session)


def _is_message(each: Observation) -> bool:
    return looks_like_sip(_payload(each.packet))


def _payload(packet: bytes) -> bytes:
    try:
        return ip.parse(packet).payload
    except MalformedPacketError:
        return b""


def played(
    observed: Observed, model: Model, session: Session
) -> Iterator[tuple[Observation, tuple[Left, ...]]]:
    """Each observation with what leaves a router that has the model."""
    place = observed.place
    gateway = Gateway(
        model,
        public_ip=place.public_ip,
        inside_networks=place.inside_networks,
        inside_addresses=place.inside_addresses,
        nat=observed.nat,
        rng=random.Random(0),
    )
    ports = _ObservedPorts(gateway, place.public_ip, session)
    for each in session:
        if each.side is None:
            gateway.reboot()
            continue
        ports.at = each
        left = [
            (emission.side, emission.packet)
            for emission in gateway.handle(each.packet, each.side, each.now)
            if emission.side is not None
        ]
        yield each, left_of(left, not ip.verify(each.packet))


class _ObservedPorts:
    """Has a gateway's NAT choose the public ports that the observed router chose."""

    def __init__(self, gateway: Gateway, public_ip: str, session: Session) -> None:
        self.at = Observation(0.0, None, b"", ())
        self._public = public_ip
        self._in_text = re.compile(re.escape(public_ip.encode()) + rb":(\d{1,5})")
        self._used = _ports_used(session, public_ip)
        gateway.nat.suggest = self.ports

    def ports(self, protocol: int, inside: Endpoint, now: float, pair: bool) -> Iterator[int]:
        """The ports in what left, and those that are used later."""
        flows, media, texts = [], [], []
        own = set(_MEDIA_PORT.findall(_payload(self.at.packet))) if pair else set()
        for each in self.at.left:
            if each.side is Side.OUTSIDE and each.source.ip == self._public:
                flows.append(each.source.port)
            media += [int(found) for found in _MEDIA_PORT.findall(each.payload) if found not in own]
            texts += [int(found) for found in self._in_text.findall(each.payload)]
        later = [port for at, port in self._used.get((protocol, inside.port), ()) if at >= now]
        for port in (*media, *texts, *later, *flows) if pair else (*flows, *later, *texts, *media):
            if port < _LAST_PORT:
                yield port


def _ports_used(session: Session, public_ip: str) -> dict[tuple[int, int], list[tuple[float, int]]]:
    """By protocol and inside port: when something left from there, and by which public port."""
    found: dict[tuple[int, int], list[tuple[float, int]]] = {}
    for each in session:
        for left in each.left:
            if each.side is Side.INSIDE and left.side is Side.OUTSIDE and left.source.ip == public_ip:
                inside = ip.parse(each.packet).sport
                found.setdefault((left.protocol, inside), []).append((each.now, left.source.port))
    return found


def distance(observed: Observed, model: Model, limit: float = float("inf")) -> float:
    """How far a router with the model is from the observed one: 0 is the same in all that left.

    A changed part counts 1. Ends beyond ``limit``.
    """
    total = 0.0
    for session in observed.sessions:
        for each, left in played(observed, model, session):
            if left != each.left:
                total += _apart(left, each.left)
                if total > limit:
                    return total
    return total


def _apart(mine: Sequence[Left], seen: Sequence[Left]) -> float:
    if len(mine) != len(seen):
        return _OTHERWISE
    total = 0.0
    for one, other in zip(mine, seen, strict=True):
        if one == other:
            continue
        if one.side is not other.side or one.protocol != other.protocol:
            total += _OTHERWISE
            continue
        total += 1 + len(differences(one.payload, other.payload))
        total += (one.source != other.source) + (one.destination != other.destination)
    return total


def behaviour(observed: Observed, model: Model) -> int:
    """A number that stands for all that leaves a router with the model."""
    return hash(tuple(left for session in observed.sessions for _, left in played(observed, model, session)))


@dataclass
class Agreement:
    """How many of ``total`` SIP messages came out as they were seen; what of the others was otherwise."""

    equal: int = 0
    total: int = 0
    otherwise: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        return self.equal / self.total if self.total else 1.0


def agreement(observed: Observed, model: Model) -> Agreement:
    """Lay a router with the model beside the observed one."""
    found = Agreement()
    for session in observed.sessions:
        for each, left in played(observed, model, session):
            if not _is_message(each):
                continue
            found.total += 1
            if left == each.left:
                found.equal += 1
                continue
            message = SipMessage.parse(_payload(each.packet))
            where = f"{label_of(message) or 'message'} {'out' if each.side is Side.INSIDE else 'in'}: "
            if len(left) != len(each.left):
                found.otherwise[where + ("something else leaves" if each.left else "does not leave")] += 1
                continue
            for mine, seen in zip(left, each.left, strict=True):
                for part in differences(mine.payload, seen.payload) or ["where it goes"] * (mine != seen):
                    found.otherwise[where + part] += 1
    return found
