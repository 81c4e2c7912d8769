"""What agents notice, as data, so that no program has to read sentences."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from siplab.lab.wire.ip import Endpoint


class EventKind(StrEnum):
    """Kinds of events. The values are those of ladders and stored traces."""

    # Messages
    CHALLENGED = "challenged"  # a server asks for credentials
    DISCARDED = "discarded"  # a message was dropped without an answer
    FORWARDED = "forwarded"
    IGNORED = "ignored"  # a datagram that is no message for us
    MIRRORED = "mirrored"
    NO_ACK = "no-ack"
    NOT_SENT = "not-sent"
    PRACK = "prack"
    REJECTED = "rejected"  # a request was answered with an error
    TIMER_C = "timer-c"  # RFC 3261 section 16.8
    UNREACHABLE = "unreachable"  # an ICMP error came back
    UNROUTABLE = "unroutable"  # no address can be read where a request has to go
    CONNECTION_LOST = "connection-lost"
    TLS_FAILED = "tls-failed"  # a certificate was refused, or TLS ended for another reason
    FLOW_FAILED = "flow-failed"  # RFC 5626
    # Registrations
    REGISTERED = "registered"
    UNREGISTERED = "unregistered"
    EXPIRED = "expired"
    REGISTRATION_FAILED = "registration-failed"
    CONTACT_MISMATCH = "contact-mismatch"
    # Calls
    RINGING = "ringing"
    ESTABLISHED = "established"
    CONFIRMED = "confirmed"
    ENDED = "ended"
    FAILED = "failed"
    NOT_CHANGED = "not-changed"  # a re-INVITE or UPDATE was refused
    SESSION_EXPIRED = "session-expired"  # RFC 4028
    TRANSFER = "transfer"
    TRANSFER_REFUSED = "transfer-refused"
    # Subscriptions
    NOTIFIED = "notified"
    NOTIFY_FAILED = "notify-failed"
    SUBSCRIPTION_FAILED = "subscription-failed"
    # Media and addresses
    LATCHED = "latched"
    MEDIA_ERROR = "media-error"  # a session description that can't be used
    REFUSED_MEDIA = "refused-media"
    ICE_FAILED = "ice-failed"
    ICE_MISMATCH = "ice-mismatch"
    ICE_REFUSED = "ice-refused"
    ICE_SELECTED = "ice-selected"
    CANDIDATE = "candidate"
    MAPPED = "mapped"
    RELAYED = "relayed"  # RFC 8656
    STUN_FAILED = "stun-failed"
    TURN_FAILED = "turn-failed"


class Facts(NamedTuple):
    """What an event is about; what does not apply is empty.

    ``status`` and ``method``: of the message or transaction. ``part``: the part of the message at fault, by
    the names of ``siplab.lab.wire.compare`` (``SDP`` for the whole body); ``value``: its value.
    ``rule``: the syntax rule that it breaks (``siplab.lab.wire.syntax.RULES``); ``reference``: the RFC and
    section that say so. ``aor``: the address-of-record of a registrar's event. ``local`` and ``remote``:
    the endpoints, ours and the other one.
    """

    status: int = 0
    method: str = ""
    part: str = ""
    value: str = ""
    rule: str = ""
    reference: str = ""
    aor: str = ""
    local: Endpoint | None = None
    remote: Endpoint | None = None


NO_FACTS: Final = Facts()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that an agent noticed at ``now`` (seconds). ``detail`` is for people only."""

    now: float
    kind: EventKind
    detail: str = ""
    facts: Facts = NO_FACTS
