"""Open-loop scripts: packets of both sides of a router, sent whatever became of the earlier ones.

In a conversation between two agents the first fault hides the others, because a message that is not answered
ends the conversation. Here nothing waits for an answer, so each packet shows what the router does with it.

    play(script, gateway) -> Pair        # no sockets, no clock: a fault of the catalogue, a learnt model...

The rules of this file:

- A script describes one network: a phone behind a NAT, a server, and the public address ``PUBLIC_IP``.
  ``Script.moved`` gives it other addresses.
- Which public ports a NAT will choose is not known beforehand. So a conversation uses ports of its own
  choice, and ``Conversation.ports`` says for which inside endpoint each of them stands. An inbound packet is
  sent to the public port from which that endpoint was last seen. If none was seen, it goes to the port that
  the router wrote in the endpoint's place; if there is none either, to the inside port. The port is replaced
  in the text of a message, too.
- All packets that left between two entering packets belong to the first of the two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, Protocol

from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError, Packet
from siplab.lab.worlds.pair import PUBLIC_IP, Crossing, Departure, Pair, departures
from siplab.lab.worlds.written_ports import written_ports

_LENGTH: Final = re.compile(rb"(?im)(^(?:content-length|l)[ \t]*:[ \t]*)(\d{1,5})(?=[ \t]*\r?$)")


class Step(NamedTuple):
    """One packet of a script: when (seconds after its conversation began), from which side, its bytes."""

    at: float
    side: Side
    packet: bytes


@dataclass(frozen=True)
class Conversation:
    """Packets that belong together. ``begins``: seconds after the script began.

    ``ports``: the public ports that its packets name, with the inside endpoint for which each stands.
    """

    name: str
    steps: tuple[Step, ...]
    ports: Mapping[int, Endpoint] = field(default_factory=dict)
    begins: float = 0.0

    @property
    def ends(self) -> float:
        return self.begins + max((each.at for each in self.steps), default=0.0)


@dataclass(frozen=True)
class Script:
    """Conversations, which may overlap in time."""

    conversations: tuple[Conversation, ...]
    public: str = PUBLIC_IP

    @property
    def seconds(self) -> float:
        """How many seconds it takes to play."""
        return max((each.ends for each in self.conversations), default=0.0)

    def steps(self) -> list[tuple[float, Conversation, Step]]:
        """All packets in the order in which they are sent, each with its time."""
        found = [(each.begins + step.at, each, step) for each in self.conversations for step in each.steps]
        return sorted(found, key=lambda row: row[0])

    def moved(self, addresses: Mapping[str, str]) -> Script:
        """The same script with other addresses (old to new), in headers and in the texts of messages."""
        moved = _Readdressing(addresses)
        return Script(
            tuple(
                replace(
                    each,
                    steps=tuple(step._replace(packet=moved.packet(step.packet)) for step in each.steps),
                    ports={
                        port: inside._replace(ip=addresses.get(inside.ip, inside.ip))
                        for port, inside in each.ports.items()
                    },
                )
                for each in self.conversations
            ),
            addresses.get(self.public, self.public),
        )


class Router(Protocol):
    """What a script is played through: a ``Gateway`` or a real router. ``public_ip``: its address outside."""

    @property
    def public_ip(self) -> str: ...

    def handle(self, packet: bytes, side: Side, now: float) -> list[Emission]:
        """What the router emits for a packet that enters at ``now`` (seconds)."""


def play(script: Script, router: Router) -> Pair:
    """Send a script's packets through a router. Never raises, whatever a gateway's model does."""
    if script.public != router.public_ip:
        script = script.moved({script.public: router.public_ip})
    ports = PublicPorts(script.public)
    crossings = []
    for now, conversation, step in script.steps():
        packet = ports.addressed(step.packet, conversation)
        left = departures(router.handle(packet, step.side, now))
        if step.side is Side.INSIDE:
            ports.learn(packet, left)
        crossings.append(Crossing(now, conversation.name, step.side, packet, left))
    return Pair(tuple(crossings), script.public)


# -- public ports --------------------------------------------------------------------------------------


class PublicPorts:
    """What an observer outside knows of the ports of a NAT whose address is ``public``."""

    def __init__(self, public: str) -> None:
        self._public = public
        self._seen: dict[tuple[int, Endpoint], int] = {}  # protocol and inside endpoint
        self._written: dict[Endpoint, int] = {}

    def learn(self, packet: bytes, left: Sequence[Departure]) -> None:
        """Learn from a packet that went out, and from the packets that left for it."""
        sent = _parsed(packet)
        if sent is None:
            return
        for each in left:
            arrived = _parsed(each.packet)
            if each.side is not Side.OUTSIDE or arrived is None or arrived.src != self._public:
                continue
            for written in written_ports(sent, arrived.payload, self._public):
                self._written[written.inside] = written.port
            if not sent.is_fragment:
                self._seen[sent.protocol, sent.source] = arrived.sport

    def of(self, protocol: int, inside: Endpoint) -> int:
        """The public port at which an inside endpoint is reached, as far as the observer can know."""
        seen = self._seen.get((protocol, inside))
        return seen if seen is not None else self._written.get(inside, inside.port)

    def addressed(self, packet: bytes, conversation: Conversation) -> bytes:
        """A packet for the public address, with the ports that the NAT has chosen."""
        parsed = _parsed(packet)
        if parsed is None or parsed.dst != self._public or parsed.is_fragment:
            return packet
        chosen = {port: self.of(parsed.protocol, inside) for port, inside in conversation.ports.items()}
        changed = {old: new for old, new in chosen.items() if old != new}
        if not changed:
            return packet
        payload = parsed.payload
        if any(b"%d" % old in payload for old in changed):
            names = b"|".join(b"%d" % old for old in changed)
            payload = _rewritten(
                payload,
                re.compile(rb"(?<![\d.])(?:%b)(?![\d.])" % names),
                {b"%d" % old: b"%d" % new for old, new in changed.items()},
            )
        return bytes(parsed.with_(dport=chosen.get(parsed.dport, parsed.dport), payload=payload))


# -- addresses -----------------------------------------------------------------------------------------


class _Readdressing:
    """Replaces addresses in packets and in their payloads."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = {old: new for old, new in addresses.items() if old != new}
        self._texts = {old.encode(): new.encode() for old, new in self._addresses.items()}
        names = b"|".join(re.escape(each) for each in self._texts)
        self._pattern = re.compile(rb"(?<![\d.])(?:%b)(?!\.?\d)" % names)

    def packet(self, packet: bytes) -> bytes:
        parsed = _parsed(packet)
        if parsed is None or not self._addresses:
            return packet
        payload = parsed.payload
        src, dst = (self._addresses.get(each, each) for each in (parsed.src, parsed.dst))
        if not parsed.is_fragment and parsed.protocol in (ip.UDP, ip.TCP):
            payload = _rewritten(payload, self._pattern, self._texts)
        elif parsed.protocol == ip.UDP and not parsed.fragment_offset and parsed.version == 4:
            before, after = (ip.pack_ip(a) + ip.pack_ip(b) for a, b in ((parsed.src, parsed.dst), (src, dst)))
            value = int.from_bytes(payload[6:8], "big")
            changed = ip.update_checksum(value, ip.checksum_delta(before, after))
            payload = payload[:6] + changed.to_bytes(2, "big") + payload[8:]
        return bytes(parsed.with_(src=src, dst=dst, payload=payload))


def _rewritten(payload: bytes, pattern: re.Pattern[bytes], new: Mapping[bytes, bytes]) -> bytes:
    """A payload with texts replaced. A Content-Length is changed by as much as the body grows."""
    changed = pattern.sub(lambda found: new[found[0]], payload)
    head, empty, body = changed.partition(b"\r\n\r\n")
    grown = len(body) - len(payload.partition(b"\r\n\r\n")[2])
    if not grown:
        return changed
    head = _LENGTH.sub(lambda found: found[1] + b"%d" % max(0, int(found[2]) + grown), head)
    return head + empty + body


def _parsed(packet: bytes) -> Packet | None:
    try:
        return ip.parse(packet)
    except MalformedPacketError:
        return None
