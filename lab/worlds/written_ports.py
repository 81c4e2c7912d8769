"""The public ports that a router wrote in the place of inside endpoints, read off a message's two sides."""

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

    An empty host: any. Port 0: the message named none, so what was written is nobody's. ``media``: it stands
    in an m= or a=rtcp line.
    """

    inside: Endpoint
    port: int
    media: bool


def written_ports(sent: Packet, arrived: bytes, public: str) -> Iterator[Written]:
    """What the router wrote in a message. Where there are two for an endpoint, the later one is surer."""
    hosts, others = _named_hosts(sent.payload), _named_hosts(arrived)
    if [len(each) for each in hosts.values()] == [len(each) for each in others.values()]:
        # Texts before a host may change; the order in which hosts stand does not.
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
    """Hosts and ports of a message, by what stands before the first one of their lines."""
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
