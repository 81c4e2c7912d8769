"""A session description before and after ``TranslateSdp``, for faults in its translation."""

from __future__ import annotations

from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Context
from siplab.lab.wire.sdp import Sdp, SdpLine, Section
from siplab.lab.wire.sip import SipMessage

_HELD = (b"sendonly", b"inactive", b"recvonly")
NOWHERE = b"0.0.0.0"  # the old way to ask for hold, RFC 3264 section 8.4


def described(message: SipMessage) -> Sdp | None:
    """The session description of a message, if ``TranslateSdp`` would find one."""
    body = message.body
    return Sdp.parse(body) if b"m=" in body and b"v=0" in body else None


def translated(
    message: SipMessage, context: Context, step: TranslateSdp | None = None
) -> tuple[Sdp, Sdp] | None:
    """The description before and after translation. The message keeps the old one: the caller writes the new.

    Both have the same sections and the same lines; only values differ.
    """
    before = described(message)
    if before is None:
        return None
    (step or TranslateSdp()).apply(message, context)
    return before, Sdp.parse(message.body)


def keep_lines(before: Section, after: Section, kinds: bytes) -> None:
    """Restore the lines with these type letters."""
    after.lines = [
        old if old.type and old.type in kinds else new
        for old, new in zip(before.lines, after.lines, strict=True)
    ]


def connections(sdp: Sdp) -> list[SdpLine]:
    """Every ``c=`` line, the session's first."""
    return [line for section in sdp.sections for line in section.lines if line.type == b"c"]


def direction(sdp: Sdp, section: Section) -> bytes:
    """The direction attribute that applies to a media section (RFC 8866 section 6.7)."""
    for part in (section, sdp.session):
        for line in part.lines:
            if line.type == b"a" and line.value in (*_HELD, b"sendrecv"):
                return line.value
    return b"sendrecv"


def is_held(sdp: Sdp, section: Section, address: bytes) -> bool:
    """Whether a stream is on hold: a direction other than sendrecv, or the address 0.0.0.0."""
    return address == NOWHERE or direction(sdp, section) in _HELD
