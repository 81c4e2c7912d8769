"""Replays the packets of a capture through a router with another model: what would have come out?

The phones and servers send what they sent in the capture. They do not react to what the router changes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from siplab.experiments.captures.reading import Capture
from siplab.experiments.output.fates import words
from siplab.experiments.output.pcapng import INBOUND, OUTBOUND, CapturedPacket, leaving
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.gateway.nat_config import NatConfig
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import is_private
from siplab.lab.worlds.pair import PUBLIC_IP


def replayed(
    capture: Capture, model: Model, *, public_ip: str = PUBLIC_IP, nat: NatConfig | None = None
) -> Iterator[CapturedPacket]:
    """What enters and leaves a router with the model, at taps ``inside`` and ``outside``.

    Packets from private IPv4 addresses enter inside, those to ``public_ip`` outside. Packets that came back
    inside in the capture are left out, since another router made them. Raises ``UsageError`` if no packet can
    enter.
    """
    sources = {ip.parse(each.packet).src for each in capture.packets}
    own = {each for each in sources if ":" not in each and is_private(each)}
    networks = sorted({address.rpartition(".")[0] for address in own})
    if not networks:
        raise UsageError(
            f"{capture.path}: no packet in it has a private source: capture behind the router to replay it"
        )
    gateway = Gateway(
        model,
        public_ip=public_ip,
        inside_networks=[f"{each}.0/24" for each in networks],
        inside_addresses=[f"{each}.1" for each in networks],
        nat=nat,
        rng=random.Random(0),
    )
    for now, _, data in capture.packets:
        packet = ip.parse(data)
        side = Side.INSIDE if packet.src in own and packet.dst not in own else Side.OUTSIDE
        if side is Side.OUTSIDE and packet.dst != public_ip:
            continue
        yield CapturedPacket(side.name.lower(), now, data, INBOUND)
        for each in gateway.handle(data, side, now):
            if each.side is not None:
                said = "changed by the ALG" if each.changed else words(each)
                yield CapturedPacket(each.side.name.lower(), now, leaving(each), OUTBOUND, said)
