"""The probe pack for sockets: the part that one computer and one detection server can send each other.

The server plays all far hosts of the script. Its SIP port is the registrar's; its other SIP port stands for
all ports and hosts that are not the registrar's; its RTP port stands for all media. Conversations that need
more than sockets are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from siplab.alg_models.samples import REGISTRAR
from siplab.lab.gateway.sides import Side
from siplab.lab.probing.reflector import RTP_PORT
from siplab.lab.probing.script_desk import LARGEST
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError, Packet
from siplab.lab.worlds.open_loop import Conversation, Script
from siplab.lab.worlds.pair import PUBLIC_IP

_FIRST_MEDIA_PORT: Final = 10000
TCP: Final = "TCP"
FRAGMENTS: Final = "fragments, or longer than a packet"
IPV6: Final = "IPv6"
MALFORMED: Final = "a packet that no socket sends"
HOSTS: Final = "more than one phone"


@dataclass(frozen=True)
class Site:
    """Where the pack is played: this computer's address, the server's SIP port, and its other SIP port."""

    own: str
    server: Endpoint
    other: int


def for_sockets(script: Script, site: Site) -> tuple[Script, Mapping[str, int]]:
    """The playable conversations with real addresses, and how many were left out for which reason.

    The public address is still the script's.
    """
    kept, left_out = [], Counter[str]()
    for each in script.conversations:
        obstacle = _obstacle(each)
        if obstacle:
            left_out[obstacle] += 1
        else:
            kept.append(_moved(each, site))
    return replace(script, conversations=tuple(kept)), left_out


def _obstacle(conversation: Conversation) -> str:
    """Why sockets can't play a conversation; empty if they can."""
    inside = {each.ip for each in conversation.ports.values()}
    for step in conversation.steps:
        try:
            packet = ip.parse(step.packet)
        except MalformedPacketError:
            return MALFORMED
        if packet.version == 6:
            return IPV6
        if packet.protocol == ip.TCP:
            return TCP
        if packet.is_fragment or len(packet.payload) > LARGEST:
            return FRAGMENTS
        if packet.protocol != ip.UDP or ip.verify(step.packet) or not (packet.sport and packet.dport):
            return MALFORMED
        if step.side is Side.INSIDE:
            inside.add(packet.src)
    return HOSTS if len(inside) > 1 else ""


def _moved(conversation: Conversation, site: Site) -> Conversation:
    packets = [ip.parse(each.packet) for each in conversation.steps]
    sides = [each.side for each in conversation.steps]
    inside = {each.ip for each in conversation.ports.values()}
    inside |= {each.src for each, side in zip(packets, sides, strict=True) if side is Side.INSIDE}
    far = {
        each.dst if side is Side.INSIDE else each.src for each, side in zip(packets, sides, strict=True)
    } - {PUBLIC_IP}
    steps = tuple(
        each._replace(packet=bytes(_at_server(packet, each.side, site)))
        for each, packet in zip(conversation.steps, packets, strict=True)
    )
    addresses = dict.fromkeys(inside, site.own) | dict.fromkeys(far, site.server.ip)
    (moved,) = Script((replace(conversation, steps=steps),)).moved(addresses).conversations
    return moved


def _at_server(packet: Packet, side: Side, site: Site) -> Packet:
    """The packet, with a port that the server has."""
    if side is Side.OUTSIDE:
        return packet.with_(sport=_port(packet.source, site))
    return packet if packet.dst == PUBLIC_IP else packet.with_(dport=_port(packet.destination, site))


def _port(far: Endpoint, site: Site) -> int:
    if far == REGISTRAR:
        return site.server.port
    return RTP_PORT if far.port >= _FIRST_MEDIA_PORT else site.other
