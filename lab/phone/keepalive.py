"""Keep-alives of a phone: packets that keep the bindings of NATs on the way.

The rules of this file:

- ``KeepAlive`` is for SIP. Over UDP any datagram from the inside refreshes a binding. Phones send CRLF (which
  RFC 5626 section 4.4.1 has for streams), other bytes, NOTIFY, a REGISTER without Contact, OPTIONS, or STUN.
  The answer to OPTIONS or STUN shows that the way is open; answers to NOTIFY and REGISTER do not matter.
- The flow has failed (RFC 5626 section 4.4) if OPTIONS or STUN gets no answer, or if the mapped address in a
  STUN answer has changed. Then the phone registers again (4.5). A STUN request is sent three times, with
  waits of 0.5 s and 1 s.
- ``MediaKeepAlive`` is for silent streams. It sends an RTP packet of a payload type that was not negotiated,
  which the other side must ignore (RFC 6263 section 4.6, RFC 3550 section 5.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from siplab.lab.media import stun
from siplab.lab.media.interfaces import MediaCall
from siplab.lab.phone.phone_config import KeepAliveKind
from siplab.lab.phone.user_agent import UserAgent
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import Incoming, token
from siplab.lab.sip.timers import Timer
from siplab.lab.sip.transaction_fsm import ClientTransaction
from siplab.lab.wire.ip import Endpoint

# Payloads that are no SIP message. A double CRLF is the ping of RFC 5626; pjsip sends one CRLF, eXosip jaK.
PAYLOADS: Final[dict[str, bytes]] = {
    "crlf": b"\r\n",
    "crlf-crlf": b"\r\n\r\n",
    "zero-bytes": b"\0\0\0\0",
    "jak": b"jaK\0",
}
STUN_RTO: Final = 0.5  # seconds (RFC 8489 section 6.2.1)
_STUN_TRIES: Final = 3
KEEPALIVE_TYPE: Final = 127  # of RTP: dynamic, and never offered here


class KeepAlive:
    """One phone's keep-alive. ``sent`` and ``failed`` count; each failure calls ``lost(now)``."""

    def __init__(self, phone: UserAgent, lost: Callable[[float], None]) -> None:
        self._phone = phone
        self._lost = lost
        self._timer: Timer | None = None
        self._call_id = b""
        self._cseq = 0
        self._transaction = b""  # of a STUN request that waits for its answer
        self._mapped: Endpoint | None = None
        self.sent = 0
        self.failed = 0

    def follow(self, registered: bool, now: float) -> None:
        """Begin when the phone has registered; end when it is no longer registered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if registered and self._kind == "stun":
            self._beat(None, now)  # what the mapping is, before it may change
        elif registered and self._kind:
            self._start(now)

    @property
    def _kind(self) -> KeepAliveKind:
        """STUN is for datagrams; over a stream CRLF twice takes its place (RFC 5626 section 3.5)."""
        config = self._phone.config
        return "crlf-crlf" if config.keepalive == "stun" and config.transport != "udp" else config.keepalive

    def _start(self, now: float) -> None:
        due = now + self._phone.config.keepalive_interval
        self._timer = self._phone.layer.timers.start(due, self._beat)

    def _beat(self, argument: object, now: float) -> None:
        phone = self._phone
        self.sent += 1
        payload = PAYLOADS.get(self._kind)
        if payload is not None:
            phone.layer.carry(phone.config.transport, phone.origin, phone.config.server, payload, now)
        elif self._kind == "stun":
            self._transaction = phone.rng.getrandbits(96).to_bytes(12, "big")
            self._ask_stun(0, now)
        else:
            self._ask(self._kind.upper().encode(), now)
        self._start(now)

    def _ask_stun(self, tries: int, now: float) -> None:
        phone, transaction = self._phone, self._transaction

        def again(_: object, later: float) -> None:
            if self._transaction == transaction and self._timer is not None:
                self._ask_stun(tries + 1, later)

        if tries == _STUN_TRIES:
            self._transaction = b""
            self._fail("no answer to STUN", Facts(), now)
            return
        phone.layer.send(phone.origin, phone.config.server, stun.request(transaction))
        phone.layer.timers.start(now + STUN_RTO * 2**tries, again)

    def receive(self, payload: bytes, now: float) -> bool:
        """Whether a datagram was the answer to our STUN request."""
        mapped = stun.mapped(payload, self._transaction) if self._transaction else None
        if mapped is None:
            return False
        self._transaction = b""
        before, self._mapped = self._mapped, mapped
        if before not in (None, mapped):
            facts = Facts(local=self._phone.origin, remote=mapped)
            self._fail(f"the NAT's mapping is {mapped} now", facts, now)
        return True

    def _ask(self, method: bytes, now: float) -> None:
        phone = self._phone
        domain = b"sip:" + phone.config.domain.encode()
        lines = {b"OPTIONS": phone.contact_line, b"NOTIFY": phone.contact_line + b"Event: keep-alive\r\n"}
        self._call_id = self._call_id or phone.new_call_id()
        self._cseq += 1
        address, tag = b"<" + phone.aor + b">", token(phone.rng)
        request = phone.compose(
            method,
            domain,
            from_=address + b";tag=" + tag,
            from_tag=tag,
            to=address if method == b"REGISTER" else b"<" + domain + b">",
            call_id=self._call_id,
            cseq=self._cseq,
            headers=lines.get(method, b"") + phone.agent_line,
        )
        phone.layer.request(request, phone.origin, phone.config.server, now, self._answered)

    def _answered(self, _: ClientTransaction, status: int, response: Incoming | None, now: float) -> None:
        if response is not None or self._timer is None or self._phone.config.keepalive != "options":
            return
        facts = Facts(status=status, method="OPTIONS")
        self._fail(f"no answer to OPTIONS ({status})", facts, now)

    def _fail(self, why: str, facts: Facts, now: float) -> None:
        self.failed += 1
        self._phone.note(now, EventKind.FLOW_FAILED, why, facts)
        self._lost(now)


class MediaKeepAlive:
    """The same for the streams of one call."""

    def __init__(self, call: MediaCall) -> None:
        self._call = call
        self._timer: Timer | None = None
        self.sent = 0

    def start(self, now: float) -> None:
        """The call has streams now."""
        if self._timer is None and self._call.phone.config.media_keepalive:
            self._wait(now)

    def stop(self) -> None:
        """The call is over."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, now: float) -> None:
        phone = self._call.phone
        self._timer = phone.layer.timers.start(now + phone.config.media_keepalive, self._beat)

    def _beat(self, argument: object, now: float) -> None:
        call = self._call
        for kind, sender in call.senders.items():
            stream = call.session.stream(kind)
            remote = sender.remote or (stream.remote if stream is not None else None)
            if kind == "image" or remote is None or sender.next_due is not None:
                continue
            self.sent += 1
            packet = sender.event(KEEPALIVE_TYPE, b"", marker=False, timestamp=None)
            call.phone.layer.send(sender.local, remote, packet)
        self._wait(now)
