"""What this package uses of the call and the phone that media belong to."""

from __future__ import annotations

import random
from typing import Protocol

from siplab.lab.media.rtp_receiver import RtpReceiver
from siplab.lab.media.rtp_sender import RtpSender
from siplab.lab.media.session import Kind, Session
from siplab.lab.sip.events import NO_FACTS, EventKind, Facts
from siplab.lab.sip.transactions import TransactionLayer


class MediaConfig(Protocol):
    """Settings, see ``PhoneConfig``."""

    @property
    def user(self) -> str: ...
    @property
    def ip(self) -> str: ...
    @property
    def rtcp(self) -> str: ...
    @property
    def ice(self) -> str: ...
    @property
    def srtp(self) -> bool: ...
    @property
    def media_keepalive(self) -> float: ...


class MediaPhone(Protocol):
    """The phone: its settings, generator, transaction layer and events."""

    rng: random.Random
    layer: TransactionLayer

    @property
    def config(self) -> MediaConfig: ...

    def note(self, now: float, kind: EventKind, detail: str = "", facts: Facts = NO_FACTS) -> None: ...


class MediaCall(Protocol):
    """One call: its media ports, its session, and what is sent and received on each kind of stream."""

    ports: dict[Kind, int]
    session: Session
    senders: dict[Kind, RtpSender]
    heard: dict[Kind, RtpReceiver]

    @property
    def phone(self) -> MediaPhone: ...
    @property
    def owns_call_id(self) -> bool: ...

    def media_changed(self, now: float) -> None: ...
