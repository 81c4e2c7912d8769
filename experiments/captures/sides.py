"""Finds out which hosts are behind the router, from captures of its two sides.

The rules of this file:

- The user need not say it. A host is behind the router if its address is private or seen only inside, or if
  it registers.
- A message *crosses* when exactly one of its two hosts is behind the router.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from siplab.experiments.captures.reading import Datagram
from siplab.lab.wire.headers import tag_of
from siplab.lab.wire.ip import is_private
from siplab.lab.wire.sip import SipMessage

Crossing = tuple[bool, Datagram]
"""Whether the message goes from inside to outside, and the message."""


def crossings(
    inside: Sequence[Datagram], outside: Sequence[Datagram]
) -> tuple[list[Crossing], list[Crossing]]:
    """The messages of either capture that cross the router. Messages between other hosts are left out."""
    behind = _behind(inside, outside)
    near = _directed(inside, behind)
    votes: dict[str, Counter[bool]] = defaultdict(Counter)
    directions: dict[bytes, set[bool]] = defaultdict(set)
    for outbound, each in near:
        directions[_dialog(each)].add(outbound)
    for each in outside:
        for outbound in directions.get(_dialog(each), ()):
            votes[each.source.ip][outbound] += 1
            votes[each.destination.ip][not outbound] += 1
    fronts = {address for address, count in votes.items() if count[True] > count[False]}
    return near, _directed(outside, fronts)


def _behind(inside: Sequence[Datagram], outside: Sequence[Datagram]) -> set[str]:
    there = {each.source.ip for each in outside} | {each.destination.ip for each in outside}
    registering = {each.source.ip for each in inside if each.payload[:9] == b"REGISTER "}
    points: dict[str, int] = {}
    for each in inside:
        for address in (each.source.ip, each.destination.ip):
            points[address] = 4 * is_private(address) + 2 * (address not in there) + (address in registering)
    # Of each two hosts, the one with more of these signs is behind; if both have as many, the first sender.
    found: dict[frozenset[str], str] = {}
    for each in inside:
        source, destination = each.source.ip, each.destination.ip
        found.setdefault(
            frozenset((source, destination)),
            source if points[source] >= points[destination] else destination,
        )
    return set(found.values())


def _directed(messages: Iterable[Datagram], near: set[str]) -> list[Crossing]:
    return [
        (each.source.ip in near, each)
        for each in messages
        if (each.source.ip in near) is not (each.destination.ip in near)
    ]


def _dialog(each: Datagram) -> bytes:
    """What identifies the messages of one direction of a transaction, even if a router rewrites them."""
    message = SipMessage.parse(each.payload)
    kind = b"answer" if message.status else b"request"
    return b"|".join((kind, message.value(b"cseq"), tag_of(message.value(b"from"))))
