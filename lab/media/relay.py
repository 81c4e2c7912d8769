"""A media relay in the path of calls, as hosted providers use it against NAT (RFC 7362).

The rules of this file:

- Each description that passes is rewritten: what one side wants sent to itself, the other side sends to a
  port of the relay's, of which each stream has one towards each side.
- Where a description tells the truth (its address is where the message came from), media go where it
  says. Where it does not, its writer is behind NAT: media go to where the first packet of that side came
  from (latching, section 4), and what comes from anywhere else is dropped (section 5). A
  description with another address or port starts that anew.
- Only what goes to the ports of the ``m=`` lines is relayed: RTCP on a port of its own is not.
  Attributes (``a=candidate``, ``a=rtcp``) stay as they are.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from siplab.lab.sip.base import Action, Close, Listen, PassOn, Train
from siplab.lab.sip.messages import SDP_TYPE, Incoming, address_text
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sdp import Sdp, Section, address_of

_PRIVATE: Final = [
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
]
_ON_HOLD: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  # RFC 3264 section 8.4, not a socket


@dataclass(slots=True, eq=False)
class Leg:
    """One stream towards one side: media of that side arrive at ``local``.

    ``announced`` is where its description wants media, ``trusted`` whether that is true as it stands,
    ``latched`` where its media come from.
    """

    local: Endpoint
    announced: Endpoint | None = None
    trusted: bool = False
    latched: Endpoint | None = None
    received: int = 0
    dropped: int = 0

    @property
    def target(self) -> Endpoint | None:
        """Where media for that side go; ``None`` while nobody knows."""
        return self.announced if self.trusted else self.latched


@dataclass(slots=True, eq=False)
class RelayedCall:
    """The streams of one call, by their place in the description: the caller's leg and the callee's."""

    caller_tag: bytes
    streams: list[tuple[Leg, Leg]] = field(default_factory=list)


class MediaRelay:
    """The relay of one server. ``calls`` maps Call-IDs to what is relayed."""

    def __init__(self, ip: str, first_port: int, act: Callable[[Action], None]) -> None:
        self._ip = ip
        self._next_port = first_port
        self._act = act  # opens and closes ports
        self.calls: dict[bytes, RelayedCall] = {}
        self._legs: dict[Endpoint, tuple[Leg, Leg]] = {}  # by port: the leg there, and the other one

    # -- signalling --------------------------------------------------------------------------

    def rewritten(self, message: Incoming) -> bytes | None:
        """The body of a message as it goes on; ``None`` when it stays as it is."""
        body = message.body
        kind = message.value(b"content-type").partition(b";")[0].strip().lower()
        if not body or kind != SDP_TYPE or not message.call_id:
            return None
        writer = message.to_tag if message.status else message.from_tag
        call = self.calls.get(message.call_id)
        if call is None:
            # The first description of a call is the caller's, or the answer to an INVITE without one.
            call = self.calls[message.call_id] = RelayedCall(message.from_tag)
        side = 0 if writer == call.caller_tag else 1
        sdp = Sdp.parse(body)
        for at, section in enumerate(sdp.media):
            self._rewrite(call, at, side, sdp, section, message.source)
        for section in sdp.sections:
            line = section.first(b"c")
            ip = address_text(address_of(line)) if line is not None else None
            if line is not None and ip is not None and ip not in _ON_HOLD:
                family = b"IP6" if ":" in self._ip else b"IP4"
                line.value = b"IN " + family + b" " + self._ip.encode()
        return bytes(sdp)

    def release(self, call_id: bytes) -> None:
        """A call is over: its ports are closed."""
        call = self.calls.pop(call_id, None)
        for legs in call.streams if call is not None else ():
            for leg in legs:
                del self._legs[leg.local]
                self._act(Close(leg.local))

    def _rewrite(
        self, call: RelayedCall, at: int, side: int, sdp: Sdp, section: Section, source: Endpoint
    ) -> None:
        while len(call.streams) <= at:
            call.streams.append(self._new_legs())
        port = section.port
        if not port:
            return  # refused, or nothing that could be read
        leg, other = call.streams[at][side], call.streams[at][1 - side]
        ip = address_text(address_of(sdp.connection(section)))
        announced = Endpoint(ip, port) if ip is not None and ip not in _ON_HOLD and port < 65536 else None
        if announced != leg.announced:
            leg.announced, leg.latched = announced, None
        leg.trusted = announced is not None and announced.ip == source.ip and not _is_private(announced.ip)
        section.port = other.local.port

    def _new_legs(self) -> tuple[Leg, Leg]:
        legs = Leg(Endpoint(self._ip, self._next_port)), Leg(Endpoint(self._ip, self._next_port + 2))
        self._next_port += 4  # even ports, as RFC 3550 section 11 has it
        for leg, other in (legs, legs[::-1]):
            self._legs[leg.local] = leg, other
            self._act(Listen(leg.local))
        return legs

    # -- media -------------------------------------------------------------------------------

    def owns(self, local: Endpoint) -> bool:
        """Whether that is one of the relay's ports."""
        return local in self._legs

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint) -> list[Action]:
        """Media of one side go on to the other."""
        leg, other = self._legs[local]
        if not leg.trusted:
            if leg.latched is None:
                leg.latched = source
            if leg.latched != source:
                leg.dropped += 1
                return []
        leg.received += 1
        target = other.target
        return [PassOn(other.local, target, payload)] if target is not None else []

    def onward(self, source: Endpoint, local: Endpoint) -> tuple[Endpoint, Endpoint] | None:
        """From where to where media go on that arrive; ``None``: they go no further."""
        leg, other = self._legs[local]
        target = other.target
        if target is None or (not leg.trusted and leg.latched != source):
            return None
        return other.local, target

    def receive_train(self, train: Train, source: Endpoint, local: Endpoint) -> None:
        """A stretch of media fared like the packet before."""
        leg = self._legs[local][0]
        if leg.trusted or leg.latched == source:
            leg.received += train.packets
        else:
            leg.dropped += train.packets


def _is_private(ip: str) -> bool:
    address = ipaddress.ip_address(ip)
    return any(address.version == each.version and address in each for each in _PRIVATE)
