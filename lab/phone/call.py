"""A call: what both sides of it have in common (RFC 3261 sections 12, 13 and 15).

The rules of this file:

- Scenarios look at ``Call``: its public attributes show how the call went.
- A call that has ended or failed stays so, and keeps the first reason.
- Media flow once the call is established; media that arrive count during the whole call.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from typing import Final, Literal

from siplab.lab.media.call_media import CallMedia
from siplab.lab.media.dtmf import Digits
from siplab.lab.media.rtp_receiver import RtpReceiver
from siplab.lab.media.rtp_sender import PACES, RtpSender
from siplab.lab.media.session import Hold, Kind, Session
from siplab.lab.media.turn import channel_data
from siplab.lab.phone.keepalive import KEEPALIVE_TYPE, MediaKeepAlive
from siplab.lab.phone.phone_config import Method
from siplab.lab.phone.renegotiation import Outcome, Renegotiation
from siplab.lab.phone.session_timer import SessionTimer
from siplab.lab.phone.user_agent import UserAgent
from siplab.lab.sip.base import Train
from siplab.lab.sip.dialog import Dialog
from siplab.lab.sip.digest import Credentials
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import SDP_TYPE, Incoming, Request
from siplab.lab.sip.timers import Timer
from siplab.lab.sip.transaction_fsm import ClientTransaction, ServerTransaction
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.rtp import PCMA, PCMU, unpack_rtp


class Direction(Enum):
    """Who called."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"


class CallState(Enum):
    """How far a call is."""

    CALLING = "calling"  # outgoing: no response yet, or only a 100
    RINGING = "ringing"
    ESTABLISHED = "established"  # a 2xx was sent or received; for the ACK see ``confirmed``
    ENDED = "ended"
    FAILED = "failed"


_OVER: Final = frozenset({CallState.ENDED, CallState.FAILED})


class Call(abc.ABC):
    """One call of a phone. Times are in seconds of the trial, ``None`` for what has not happened.

    - ``status``: the final status of the INVITE (0 before; 408 and 503 also stand for a timeout and a
      transport error). ``confirmed``: the ACK of the 2xx was sent (outgoing) or received (incoming).
      ``reason``: a sentence for people.
    - ``remote_rtp``: where media go. ``senders``: what this side sends, and ``heard``: what arrived, for each
      kind of stream. ``digits``: those that arrived, in INFO or as telephone events.
    - ``line``: the phone's line that the call uses, with media ``ports`` of its own. ``watchers``: functions
      that are called when the call is answered and when it is over.
    - ``refers``: whether this side asked the other to place a call (RFC 3515); ``transfer_status``: the last
      status of that call that the other side reported.
    """

    def __init__(
        self, phone: UserAgent, line: int, direction: Direction, state: CallState, call_id: bytes, now: float
    ) -> None:
        self.phone = phone
        self.line = line
        self.ports = phone.config.ports_of(line)
        self.watchers: list[Callable[[Call, float], None]] = []
        self.transfer_status = 0
        self.refers = False
        self.digits: list[str] = []
        self.direction = direction
        self.state = state
        self.call_id = call_id
        self.status = 0
        self.confirmed = False
        self.ended_by: Literal["local", "remote"] | None = None
        self.reason = ""
        self.started = now
        self.ringing_at: float | None = None
        self.established_at: float | None = None
        self.ended_at: float | None = None
        self.senders: dict[Kind, RtpSender] = {}
        self.heard: dict[Kind, RtpReceiver] = {kind: RtpReceiver() for kind in self.ports}
        self._early_rtp: int | None = None
        self._dialled = Digits()
        self.remote_rtp: Endpoint | None = None
        self.dialog: Dialog | None = None
        config = phone.config
        self.media = CallMedia(self, phone.announced_media, phone.ice_discovery.announced)
        # This random number is the session id in o=.
        self.session = Session(
            config.user,
            config.ip,
            self.ports,
            phone.rng.getrandbits(31),
            phone.announced_media,
            self.media,
            secure=config.srtp,
            strict=config.strict_media,
            lenient=config.lenient,
            same_version=config.same_sdp_version,
            codecs=(PCMU, PCMA) if config.codec_lock else config.codecs,
        )
        self._strangers: dict[Kind, tuple[Endpoint, int]] = {}  # of unannounced media: source, packets
        self._more_to_come: Timer | None = None
        self.renegotiation = Renegotiation(self)
        self.timer = SessionTimer(self)
        self.media_keepalive = MediaKeepAlive(self)
        self.credentials = Credentials(config.user, config.password, phone.rng)
        self.authorization: bytes | None = None  # of the latest INVITE; its ACK repeats it
        self._acks: dict[tuple[bytes, int], tuple[bytes, Endpoint]] = {}  # To tag, CSeq -> ACK and where to

    @property
    def owns_call_id(self) -> bool:
        """Whether this side chose the Call-ID."""
        return self.direction is Direction.OUTGOING

    @property
    def rtp_local(self) -> Endpoint:
        """The endpoint that sends this call's audio, and receives it."""
        return Endpoint(self.phone.config.ip, self.ports["audio"])

    @property
    def over(self) -> bool:
        return self.state in _OVER

    # -- what differs between caller and callee ----------------------------------------------

    @abc.abstractmethod
    def hang_up(self, now: float) -> None:
        """End the call from this side, in whatever state it is."""

    def on_ack(self, ack: Incoming, now: float) -> None:  # noqa: B027 - only a callee waits for one
        """An ACK within the dialog."""

    # -- dialog ------------------------------------------------------------------------------

    def establish(self, dialog: Dialog, now: float) -> None:
        """A 2xx was sent or received: there is a dialog, and media may flow."""
        self.dialog = dialog
        self.state = CallState.ESTABLISHED
        self.status = 200
        self._early_rtp = self.rtp_received
        self.established_at = now
        self.timer.start(now)
        self._tell_watchers(now)
        self.phone.note(now, EventKind.ESTABLISHED, f"with {_shown(dialog.remote)}")

    def on_prack(self, transaction: ServerTransaction, now: float) -> None:
        """A PRACK within the dialog. Only a callee has a response that a PRACK can acknowledge."""
        self.phone.reject(transaction, 481, now)

    def on_bye(self, transaction: ServerTransaction, now: float) -> None:
        """The other side hangs up (section 15.1.2)."""
        transaction.reply(200, now, headers=self.phone.agent_line)
        self.finish(CallState.ENDED, now, by="remote", reason="BYE received")

    def bye(self, now: float, *, reason: str, state: CallState = CallState.ENDED) -> None:
        """Hang up an established call (section 15.1.1). It is over at once, whatever the answer."""
        if self.over:
            return
        if self.dialog is not None:
            self.request(self.dialog, b"BYE", now)
        self.finish(state, now, by="local", reason=reason)

    def request(
        self,
        dialog: Dialog,
        method: bytes,
        now: float,
        headers: bytes = b"",
        body: bytes = b"",
        outcome: Outcome | None = None,
    ) -> None:
        """Send a request within a dialog (section 12.2.1); challenges are answered.

        ``headers`` are whole lines, with Content-Type if there is a ``body``. ``outcome`` is called with the
        final status, 0 if the request could not be sent.
        """
        dialog.local_cseq += 1
        request, remote = self.build(dialog, method, dialog.local_cseq, None, headers, body)
        if remote is None:
            facts = Facts(method=method.decode(), value=_shown(request.uri))
            self.phone.note(now, EventKind.UNROUTABLE, f"{facts.method} to {facts.value}", facts)
            if outcome is not None:
                outcome(0, now)
            return

        def answered(_: ClientTransaction, status: int, response: Incoming | None, later: float) -> None:
            if response is not None and status in (401, 407) and self.credentials.accept(response):
                self.request(dialog, method, later, headers, body, outcome)
            elif status >= 200 and outcome is not None:
                outcome(status, later)

        self.phone.layer.request(request, self.phone.origin, remote, now, answered)

    def build(
        self,
        dialog: Dialog,
        method: bytes,
        cseq: int,
        authorization: bytes | None = None,
        headers: bytes = b"",
        body: bytes = b"",
    ) -> tuple[Request, Endpoint | None]:
        """A request within a dialog and its next hop (section 12.2.1.1).

        ``authorization``: lines that replace new credentials; ``headers``: whole lines.
        """
        phone = self.phone
        uri, routes, hop = dialog.target()
        if authorization is None:
            authorization = self.credentials.lines(method, uri)
            if method == b"INVITE":
                self.authorization = authorization
        request = phone.compose(
            method,
            uri,
            from_=dialog.local,
            from_tag=dialog.local_tag,
            to=dialog.remote,
            call_id=dialog.call_id,
            cseq=cseq,
            routes=b"".join([b"Route: " + route + b"\r\n" for route in routes]),
            headers=headers + authorization + phone.agent_line,
            body=body,
        )
        return request, phone.resolve(hop)

    def finish(
        self,
        state: CallState,
        now: float,
        *,
        by: Literal["local", "remote"] | None = None,
        status: int = 0,
        reason: str = "",
    ) -> None:
        """The call is over; only the first reason counts."""
        if self.over:
            return
        self.state = state
        self.ended_by = by
        self.ended_at = now
        self.reason = reason
        if status:
            self.status = status
        self.renegotiation.stop()
        self.timer.stop()
        self.media_keepalive.stop()
        self.media.stop(now)
        for sender in self.senders.values():
            sender.stop()
        self._tell_watchers(now)
        detail = f"{status} {reason}" if status else reason
        self.phone.note(now, EventKind(state.value), detail, Facts(status))

    def _tell_watchers(self, now: float) -> None:
        for each in list(self.watchers):
            each(self, now)

    def acknowledge(self, dialog: Dialog, response: Incoming, now: float, body: bytes = b"") -> bool:
        """ACK a 2xx to an INVITE. Returns whether the 2xx was a repetition, whose ACK was sent again.

        CSeq number and credentials are the INVITE's, the branch is a new one (section 13.2.2.4).
        """
        phone, key = self.phone, (response.to_tag, response.cseq)
        known = self._acks.get(key)
        if known is None:
            lines = phone.names.content_type + SDP_TYPE + b"\r\n" if body else b""
            ack, remote = self.build(dialog, b"ACK", response.cseq, self.authorization, lines, body)
            if remote is None:
                facts = Facts(method="ACK", value=_shown(ack.uri))
                phone.note(now, EventKind.UNROUTABLE, f"ACK to {facts.value}", facts)
                return False
            self._acks[key] = (ack.wire, remote)
        wire, remote = self._acks[key]
        phone.layer.carry(phone.config.transport, phone.origin, remote, wire, now)
        return known is not None

    # -- changes while it is up --------------------------------------------------------------

    def hold(self, now: float, how: Hold = "sendonly", outcome: Outcome | None = None) -> None:
        """Hold the call, or resume it with ``""``."""
        self.modify(now, hold=how, outcome=outcome)

    def modify(
        self,
        now: float,
        *,
        hold: Hold | None = None,
        kinds: Sequence[Kind] | None = None,
        method: Method = "INVITE",
        outcome: Outcome | None = None,
    ) -> None:
        """Offer another session within the call: ``None`` leaves that part unchanged."""

        def change() -> None:
            if hold is not None:
                self.session.hold = hold
            if kinds is not None:
                self.session.offered = list(kinds)

        self.renegotiation.start(now, method, change, outcome)

    def refresh(self, now: float, outcome: Outcome) -> None:
        """Refresh the session, with the method of the phone's settings (RFC 4028 section 7.4)."""
        method = self.phone.config.refresh_method
        self.renegotiation.start(now, method, outcome=outcome, body=b"" if method == "UPDATE" else None)

    def info(self, digit: str, now: float, outcome: Outcome | None = None) -> None:
        """Send a digit in an INFO, as ``application/dtmf-relay`` (RFC 6086 calls that use legacy)."""
        if self.dialog is None or self.over:
            self.phone.note(now, EventKind.NOT_SENT, "INFO: there is no call", Facts(method="INFO"))
            if outcome is not None:
                outcome(0, now)
            return
        lines = self.phone.names.content_type + b"application/dtmf-relay\r\n"
        body = b"Signal=%b\r\nDuration=160\r\n" % digit.encode()
        self.request(self.dialog, b"INFO", now, lines, body, outcome)

    def on_info(self, transaction: ServerTransaction, now: float) -> None:
        """An INFO within the dialog: note its digit."""
        for line in transaction.request.body.split(b"\r\n"):
            name, _, value = line.partition(b"=")
            if name.strip().lower() == b"signal" and value.strip():
                self.digits.append(value.strip().decode("ascii", "replace"))
        transaction.reply(200, now, headers=self.phone.agent_line)

    # -- media -------------------------------------------------------------------------------

    @property
    def rtp_sent(self) -> int:
        """Audio packets sent."""
        sender = self.senders.get("audio")
        return sender.sent if sender is not None else 0

    @property
    def rtp_received(self) -> int:
        """Audio packets received."""
        return self.heard["audio"].received

    @property
    def early_rtp_received(self) -> int:
        """Audio packets received before the call was answered."""
        return self.rtp_received if self._early_rtp is None else self._early_rtp

    def media_changed(self, now: float) -> None:
        """Offer and answer have changed the session: send media where it says, or stop."""
        if self.over:
            return
        self.remote_rtp = self.media.target(self.session.stream("audio"), now)
        for kind in self.ports:
            stream = self.session.stream(kind)
            sender = self.senders.get(kind)
            if sender is None:
                if stream is None:
                    continue
                sender = self.senders[kind] = self._sender(kind)
            sender.payload_type = stream.payload_type if stream is not None else 0
            self._direct(sender, self.media.target(stream, now), now)
        self._strangers.clear()
        self.media.settled(now)
        self.media_keepalive.start(now)

    def _direct(self, sender: RtpSender, peer: Endpoint | None, now: float) -> None:
        """Send to ``peer`` from now on; through the relay, if the socket has an address there."""
        relaying = self.phone.relaying
        if peer is None or relaying.relayed(sender.local) is None:
            sender.direct(peer, now)
            return
        if peer == sender.peer and sender.framed is not None:
            return

        def ready(relay: Endpoint, channel: int, later: float) -> None:
            if not self.over and sender.peer in (peer, None):
                sender.direct(peer, later, relay, partial(channel_data, channel))

        sender.direct(None, now)
        relaying.lead(sender.local, peer, now, ready)

    def _sender(self, kind: Kind) -> RtpSender:
        config = self.phone.config
        local = Endpoint(config.ip, self.ports[kind] + config.rtp_source_offset)
        return RtpSender(kind, local, self.phone.rng, signal=config.signal, limit=config.media_packets)

    def mute(self, now: float) -> None:
        """Stop sending for a while, as with silence suppression."""
        for sender in self.senders.values():
            sender.mute(True, now)

    def unmute(self, now: float) -> None:
        """Send again."""
        for sender in self.senders.values():
            sender.mute(False, now)

    def on_media(self, kind: Kind, payload: bytes, source: Endpoint, now: float) -> None:
        """A media packet arrived. A phone that latches sends to where enough such packets came from."""
        if not self._is_started(kind):
            return
        if self._is_foreign(kind, source):
            why = f"{kind} from {source}, which was not announced"
            self.phone.note(now, EventKind.REFUSED_MEDIA, why, Facts(remote=source))
            return
        plain = self.media.received(kind, payload, source, now)
        if plain is None:
            return
        payload, header = plain, unpack_rtp(plain)
        if header is None and kind != "image":
            return
        if header is None or header.payload_type != KEEPALIVE_TYPE:
            self.heard[kind].packet(header, payload[12:], source, now)
            if header is not None and kind in self.media.reporters:
                self.media.reporters[kind].heard(header, now)
        stream = self.session.stream(kind)
        if header is not None and stream is not None and header.payload_type == stream.telephone_event:
            digit = self._dialled.read(header.timestamp, payload[12:])
            if digit is not None:
                self.digits.append(digit)
        sender = self.senders.get(kind)
        latching = self.phone.config.latch_after and not self.media.uses_ice(kind)
        if latching and sender is not None and sender.peer not in (None, source):
            if self._counted(kind, source, now) < self.phone.config.latch_after:
                return
            self.phone.note(now, EventKind.LATCHED, f"{sender.peer} -> {source}", Facts(remote=source))
            self._direct(sender, source, now)
            if kind == "audio":
                self.remote_rtp = source

    def on_train(self, kind: Kind, train: Train, source: Endpoint) -> None:
        """A stretch of media packets arrived, for which the same holds as for the packet before them."""
        if self._is_started(kind) and not self._is_foreign(kind, source) and self.media.train(kind, train):
            self.heard[kind].train(train, source)
            if kind in self.media.reporters:
                self.media.reporters[kind].heard_train(train)

    def _counted(self, kind: Kind, source: Endpoint, now: float) -> int:
        """How many packets in a row came from that source, including this one."""
        before, count = self._strangers.get(kind, (source, 0))
        count = count + 1 if before == source else 1
        self._strangers[kind] = source, count
        if count < self.phone.config.latch_after:
            # Each packet must be counted: a timer keeps worlds with a virtual clock from skipping the next
            # one.
            if self._more_to_come is not None:
                self._more_to_come.cancel()
            pause = 1.5 * PACES[kind].interval
            self._more_to_come = self.phone.layer.timers.start(now + pause, lambda argument, then: None)
        return count

    def _is_started(self, kind: Kind) -> bool:
        stream = self.session.stream(kind)
        return stream is None or stream.started

    def _is_foreign(self, kind: Kind, source: Endpoint) -> bool:
        """Whether this phone refuses media from there."""
        config, stream = self.phone.config, self.session.stream(kind)
        if stream is None:
            return False
        if config.media_filter == "ip" and stream.remote is not None and source.ip != stream.remote.ip:
            return True
        return config.strict_media and source != stream.remote

    def __repr__(self) -> str:
        return f"<{self.direction.value} call, {self.state.value}, status {self.status}>"


def _shown(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
