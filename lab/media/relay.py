"""A media relay in the path of calls, as hosted providers use it against NAT (RFC 7362).

The rules of this file:

- Each session description that passes is rewritten, so that media for its writer are sent to a port of the
  relay. Each stream has one port towards each side.
- ``RelayRules`` say when a side's media go back to where they come from (latching, section 4), and whose
  media are accepted at all (section 5).
- By default, a description whose address is the source address of its message is followed. If it is not, the
  writer is behind NAT: media go to where the first packet of that side came from, and packets from anywhere
  else are dropped.
- Latching starts anew with a description that has another address or port, and with that of a side that was
  on hold and sends again: the NAT of that side may have given its media another binding.
- RTCP on a port of its own is relayed from the port above the media's, which ``a=rtcp`` then names (RFC
  3605).
- If a description has ICE candidates, the relay adds itself with the lowest priority, as rtpengine does
  without ICE options. So paths between the two sides themselves are preferred.
- Other attributes stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from siplab.lab.media.attributes import Said, read_attributes, rtcp_port
from siplab.lab.media.ice_candidates import Candidate, candidate_line
from siplab.lab.sip.base import Action, Close, Listen, PassOn, Train
from siplab.lab.sip.messages import SDP_TYPE, Incoming, address_text
from siplab.lab.wire.ip import Endpoint, is_private
from siplab.lab.wire.sdp import Sdp, SdpLine, Section, address_of

_ON_HOLD: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  # RFC 3264 section 8.4, not a socket


_SENDS: Final = frozenset({b"sendrecv", b"sendonly"})
_WAYS: Final = _SENDS | {b"recvonly", b"inactive"}

Latch = Literal["untrusted", "always", "never"]
Restrict = Literal["none", "latched", "learned", "sdp"]


@dataclass(frozen=True)
class RelayRules:
    """How a relay latches, and whose media it accepts.

    ``latch``: whether media go back to where they come from. ``untrusted``: if the address in the description
    is not its sender's; ``always``; ``never``. Latching takes ``latch_after`` packets. For ``latch_window``
    seconds after a description, a source that is closer to the described endpoint may replace the first one.
    ``restrict``: whose media are accepted. ``none``: anybody's. ``latched``: those from the latched source.
    ``learned``: those from the learned source, and anybody's until there is one. ``sdp``: those from the
    address in the description.
    """

    latch: Latch = "untrusted"
    latch_after: int = 1
    latch_window: float = 0.0
    restrict: Restrict = "latched"


@dataclass(slots=True, eq=False)
class Leg:
    """One stream towards one side: media of that side arrive at ``local``.

    ``announced``: where its description wants media. ``trusted``: whether that address is public and the
    description's source. ``latched``: where its media come from. ``since``: the time of the latest
    description, in seconds.
    """

    local: Endpoint
    rules: RelayRules
    announced: Endpoint | None = None
    trusted: bool = False
    latched: Endpoint | None = None
    received: int = 0
    dropped: int = 0
    since: float = 0.0
    sends: bool = True
    learning: bool = True
    candidate: Endpoint | None = None
    heard: int = 0

    @property
    def target(self) -> Endpoint | None:
        """Where media for that side go; ``None`` while that is unknown."""
        latch = self.rules.latch
        if latch == "never" or (latch == "untrusted" and self.trusted):
            return self.announced
        if latch == "untrusted" or self.latched is not None:
            return self.latched
        return self.announced if self.announced is not None and not is_private(self.announced.ip) else None

    def describe(self, announced: Endpoint | None, *, sends: bool, trusted: bool, now: float) -> None:
        """Take a description of this side."""
        if announced != self.announced:
            self.announced, self.latched = announced, None
        if self.latched is None or (sends and not self.sends):
            self.learning, self.heard = True, 0
        self.sends, self.trusted, self.since = sends, trusted, now

    @property
    def _learns(self) -> bool:
        rules = self.rules
        untrusted = rules.latch == "untrusted" and not self.trusted
        return untrusted or rules.latch == "always" or rules.restrict == "learned"

    def changes(self, source: Endpoint) -> bool:
        """Whether a packet from ``source`` may change what has been learned."""
        better = self.rules.latch_window > 0 and self._rank(source) < self._rank(self.latched)
        return self._learns and (self.learning or better)

    def takes(self, source: Endpoint) -> bool:
        """Whether media from ``source`` are accepted at present."""
        restrict = self.rules.restrict
        if restrict == "none":
            return True
        if restrict == "sdp":
            return self.announced is not None and source.ip == self.announced.ip
        return not self._learns or source == self.latched or (restrict == "learned" and self.learning)

    def learn(self, source: Endpoint, now: float) -> None:
        """A packet came from ``source``."""
        if not self.changes(source):
            return
        if self.learning:
            self.heard = self.heard + 1 if source == self.candidate else 1
            self.candidate = source
            sure = self.rules.restrict == "learned" and source == self.announced
            if self.heard >= self.rules.latch_after or sure:
                self.latched, self.learning = source, False
        elif now < self.since + self.rules.latch_window:
            self.latched = source

    def _rank(self, source: Endpoint | None) -> tuple[bool, bool]:
        """How far a source is from the described endpoint: the address counts more than the port."""
        said = self.announced
        return (said is None or source is None or source.ip != said.ip, said is None or source != said)


@dataclass(slots=True, eq=False)
class RelayedCall:
    """The streams of one call, by their place in the description; each has the caller's and the callee's leg.

    ``reports``: the legs of their RTCP.
    """

    caller_tag: bytes
    streams: list[tuple[Leg, Leg]] = field(default_factory=list)
    reports: list[tuple[Leg, Leg]] = field(default_factory=list)


def is_description(message: Incoming) -> bool:
    """Whether Content-Type says that the body is SDP."""
    return message.value(b"content-type").partition(b";")[0].strip().lower() == SDP_TYPE


class MediaRelay:
    """The relay of one server. ``calls`` maps Call-IDs to what is relayed."""

    def __init__(
        self, ip: str, first_port: int, act: Callable[[Action], None], rules: RelayRules = RelayRules()
    ) -> None:
        self._ip = ip
        self._rules = rules
        self._next_port = first_port
        self._act = act  # opens and closes ports
        self.calls: dict[bytes, RelayedCall] = {}
        self._legs: dict[Endpoint, tuple[Leg, Leg]] = {}  # by port: the leg there, and the other one

    # -- signalling --------------------------------------------------------------------------

    def rewritten(self, message: Incoming, now: float, *, whole: bool = False) -> bytes | None:
        """The body of a message as it goes on; ``None`` when it stays as it is.

        ``whole``: Content-Length is ignored.
        """
        writer = message.to_tag if message.status else message.from_tag
        call = self.calls.get(message.call_id)
        # The first description of a call is the caller's, or the answer to an INVITE without one.
        caller = call.caller_tag if call is not None else message.from_tag
        return self.rewrite(message, message.call_id, caller, now, by_caller=writer == caller, whole=whole)

    def rewrite(
        self,
        message: Incoming,
        call_id: bytes,
        caller_tag: bytes,
        now: float,
        *,
        by_caller: bool,
        whole: bool = False,
    ) -> bytes | None:
        """As ``rewritten``, for a message of the call known as ``call_id``, written by caller or callee."""
        body = message.message.body if whole else message.body
        if not body or not call_id or not is_description(message):
            return None
        sdp = Sdp.parse(body)
        if any(section.port is None or section.port > 65535 for section in sdp.media):
            return None  # rtpengine refuses an unreadable description, and it goes on as it came
        call = self.calls.setdefault(call_id, RelayedCall(caller_tag))
        side = 0 if by_caller else 1
        for at, section in enumerate(sdp.media):
            self._rewrite(call, at, side, sdp, section, message.source, now)
        for section in sdp.sections:
            line = section.first(b"c")
            ip = address_text(address_of(line)) if line is not None else None
            if line is not None and ip is not None and ip not in _ON_HOLD:
                family = b"IP6" if ":" in self._ip else b"IP4"
                line.value = b"IN " + family + b" " + self._ip.encode()
        return bytes(sdp)

    def release(self, call_id: bytes) -> None:
        """A call is over: close its ports."""
        call = self.calls.pop(call_id, None)
        for legs in (*call.streams, *call.reports) if call is not None else ():
            for leg in legs:
                del self._legs[leg.local]
                self._act(Close(leg.local))

    def _rewrite(
        self, call: RelayedCall, at: int, side: int, sdp: Sdp, section: Section, source: Endpoint, now: float
    ) -> None:
        while len(call.streams) <= at:
            call.streams.append(self._new_legs(self._next_port, self._rules))
            # RTCP packets are too rare to wait for several of them before latching.
            first = rtcp_port(self._next_port)
            call.reports.append(self._new_legs(first, replace(self._rules, latch_after=1)))
            self._next_port += 4  # even ports, as RFC 3550 section 11 has it
        port = section.port
        if not port:
            return  # a refused stream
        leg, other = call.streams[at][side], call.streams[at][1 - side]
        ip = address_text(address_of(sdp.connection(section)))
        announced = Endpoint(ip, port) if ip is not None and ip not in _ON_HOLD else None
        trusted = announced is not None and announced.ip == source.ip and not is_private(announced.ip)
        said = [line.value for part in (section, sdp.session) for line in part.lines if line.value in _WAYS]
        leg.describe(announced, sends=not said or said[0] in _SENDS, trusted=trusted, now=now)
        attributes = read_attributes(sdp, section, announced)
        # An RTCP report may come while its side is on hold.
        call.reports[at][side].describe(attributes.rtcp, sends=True, trusted=trusted, now=now)
        section.port = other.local.port
        self._name_itself(section, attributes, port, other.local)

    def _name_itself(self, section: Section, said: Said, port: int, local: Endpoint) -> None:
        """Put the relay into the attributes that have addresses; ``port``: where the writer wants media."""
        mixed = said.rtcp is not None and said.rtcp.port == port
        for line in section.attributes(b"rtcp"):
            family = b"IP6" if ":" in self._ip else b"IP4"
            whole = b" IN " + family + b" " + self._ip.encode() if b" " in line.value else b""
            line.value = b"rtcp:%d" % (local.port if mixed else rtcp_port(local.port)) + whole
        if section.attributes(b"candidate"):
            least = Candidate(b"relay", 1, local, "relay", Endpoint("0.0.0.0", 9))  # noqa: S104  # RFC 8839 5.1
            section.lines.append(SdpLine(candidate_line(least)))

    def _new_legs(self, first: int, rules: RelayRules) -> tuple[Leg, Leg]:
        legs = Leg(Endpoint(self._ip, first), rules), Leg(Endpoint(self._ip, first + 2), rules)
        for leg, other in (legs, legs[::-1]):
            self._legs[leg.local] = leg, other
            self._act(Listen(leg.local))
        return legs

    # -- media -------------------------------------------------------------------------------

    def owns(self, local: Endpoint) -> bool:
        """Whether that is one of the relay's ports."""
        return local in self._legs

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        """Media of one side go on to the other."""
        leg, other = self._legs[local]
        leg.learn(source, now)
        if not leg.takes(source):
            leg.dropped += 1
            return []
        leg.received += 1
        target = other.target
        return [PassOn(other.local, target, payload)] if target is not None else []

    def onward(self, source: Endpoint, local: Endpoint) -> tuple[Endpoint, Endpoint] | None:
        """From where to where arriving media go on; ``None``: they go no further."""
        leg, other = self._legs[local]
        target = other.target
        if leg.changes(source) or (target is None and other.learning and other.heard):
            return local, local  # a way that no packet ever takes, so that each packet is carried
        if target is None or not leg.takes(source):
            return None
        return other.local, target

    def receive_train(self, train: Train, source: Endpoint, local: Endpoint) -> None:
        """A stretch of media shared the fate of the packet before it."""
        leg = self._legs[local][0]
        if leg.takes(source):
            leg.received += train.arrived
        else:
            leg.dropped += train.arrived
