"""The public ports that a router wrote in the place of inside endpoints, from a message on both sides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final, NamedTuple

from siplab.lab.wire.ip import Endpoint, Packet

_MEDIA: Final = re.compile(rb"(?m)^(?:m=\S+ |a=rtcp:)(\d{1,5})(?!\d)")
_HOST: Final = re.compile(rb"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?:[: ](\d{1,5})(?!\d))?")


class Written(NamedTuple):
    """A public ``port`` that a router wrote in the place of an inside endpoint.

    ``inside`` with an empty host stands for any host. Its port is 0 if the message had port 0; then ``port``
    belongs to no endpoint. ``media``: it was in an m= or a=rtcp line.
    """

    inside: Endpoint
    port: int
    media: bool


def written_ports(sent: Packet, arrived: bytes, public: str) -> Iterator[Written]:
    """What the router wrote in a message. Of two for one endpoint, the later is more certain."""
    hosts, others = _named_hosts(sent.payload), _named_hosts(arrived)
    if [len(each) for each in hosts.values()] == [len(each) for each in others.values()]:
        # The router may change the text before a host, but not the order of the hosts.
        hosts, others = ({b"": [*chain(*each.values())]} for each in (hosts, others))
    for key, rows in hosts.items():
        found = others.get(key, [])
        for (host, was), (other, became) in zip(rows, found, strict=True) if len(rows) == len(found) else ():
            if other == public.encode() and became:
                yield from _ports(host.decode(), was or b"5060", became, media=False)
    before, after = _MEDIA.findall(sent.payload), _MEDIA.findall(arrived)
    if len(before) == len(after):
        for was, became in zip(before, after, strict=True):
            if was != became:
                if int(was):
                    yield from _ports(sent.src, was, became, media=True)
                yield from _ports("", was, became, media=True)  # it may be another host's


def _named_hosts(message: bytes) -> dict[bytes, list[tuple[bytes, bytes]]]:
    """The hosts and ports of a message, grouped by the text before the first host of their lines."""
    found: dict[bytes, list[tuple[bytes, bytes]]] = {}
    for line in message.splitlines():
        matches = list(_HOST.finditer(line))
        if matches:
            rows = found.setdefault(line[: matches[0].start()], [])
            rows += [(each[1], each[2] or b"") for each in matches]
    return found


def _ports(inside: str, was: bytes, became: bytes, *, media: bool) -> Iterator[Written]:
    if int(was) < 65536 and 0 < int(became) < 65536:
        yield Written(Endpoint(inside, int(was)), int(became), media)
