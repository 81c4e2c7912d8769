"""The corpus again, with RTP between its messages: does it pass, and where does it go?

The same seed gives the same cases. After each SDP body, packets go from and to the announced ports, from
outside and from inside. They go again after what ends a call (BYE, CANCEL, a final response that is no 2xx),
in old flows and in new ones. Ports are as they were sent: the router keeps them if it can, and else takes the
next pair, which is tried as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from siplab.experiments.calibration import corpus
from siplab.experiments.calibration.corpus import Case, Datagram
from siplab.experiments.calibration.places import FOREIGN_IP, INSIDE_IP, PUBLIC_IP, SERVER_IP
from siplab.experiments.calibration.weights import Dice
from siplab.lab.wire.ip import Endpoint

_PROBES: Final = 4  # packets at a time, at most
_OTHER_PORTS: Final = (30000, 30002, 40000)
_STREAM: Final = re.compile(rb"^m=\w+ (\d{4,5})[ /]", re.MULTILINE)
_ADDRESS: Final = re.compile(rb"^c=IN IP4 ([\d.]+)\s*$", re.MULTILINE)
_ENDS: Final = re.compile(rb"BYE |CANCEL |SIP/2\.0 [3-6]\d\d ")


def cases(seed: int, packets: int) -> list[Case]:
    """Cases with at least so many packets in all, each with an SDP body."""
    made: list[Case] = []
    sent = 0
    for index, case in enumerate(corpus.cases(seed, packets)):
        if sent >= packets:
            break
        rng = Dice(f"calibration/probes/{seed}/{index}")
        datagrams = tuple(_probed(rng, case))
        if len(datagrams) == len(case.datagrams):
            continue
        made.append(Case(f"probes, {case.kind}", datagrams))
        sent += len(datagrams)
    return made


@dataclass
class _Announced:
    """The media endpoints that a case's SDP has announced: the phone's ports, and the far ends' endpoints."""

    inside: list[int] = field(default_factory=list)
    outside: list[Endpoint] = field(default_factory=list)

    def take(self, datagram: Datagram) -> bool:
        """Note the ports that a message announces. Returns whether it announces any."""
        ports = [int(each) for each in _STREAM.findall(datagram.payload)]
        ports = [each for each in ports if 1024 <= each < 65534]
        if datagram.outbound:
            self.inside = ports or self.inside
        else:
            named = {each.decode() for each in _ADDRESS.findall(datagram.payload)} & {SERVER_IP, FOREIGN_IP}
            addresses = named or {datagram.source.ip}
            self.outside = [
                Endpoint(each, port) for port in ports for each in sorted(addresses)
            ] or self.outside
        return bool(ports)


def _probed(rng: Dice, case: Case) -> Iterator[Datagram]:
    announced, numbers = _Announced(), count(1)
    for each in case.datagrams:
        yield each
        describes = announced.take(each)
        if describes or (_ENDS.match(each.payload) and (announced.inside or announced.outside)):
            for _ in range(rng.randrange(1, _PROBES + 1)):
                yield _probe(rng, announced, next(numbers))


def _probe(rng: Dice, announced: _Announced, number: int) -> Datagram:
    """One packet of RTP or RTCP, between announced endpoints, or ports near them, or others."""
    ours = rng.choice(announced.inside or [40000])
    other = rng.choice(announced.outside or [Endpoint(SERVER_IP, 30000)])
    if rng.chance(35):
        other = Endpoint(rng.choice((SERVER_IP, SERVER_IP, FOREIGN_IP)), rng.choice(_OTHER_PORTS))
    shift = rng.draw(((70, 0), (20, 1), (10, 2)))  # RTP, RTCP, and the next pair of ports
    ours = (ours & ~1) + shift if shift else ours
    if rng.chance(50):
        other = other._replace(port=other.port + (shift & 1))
    payload = b"\x80\0" + number.to_bytes(2, "big") + b"probe"
    if rng.chance(50):
        return Datagram(True, Endpoint(INSIDE_IP, ours), other, payload)
    return Datagram(False, other, Endpoint(PUBLIC_IP, ours), payload)
