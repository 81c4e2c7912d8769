"""Media packets that were not carried, made again from a carried packet and the name of their content."""

from __future__ import annotations

from siplab.lab.media.audio import SAMPLES, by_name
from siplab.lab.media.rtp_sender import PACES
from siplab.lab.wire.rtp import pack_rtp, unpack_rtp


def rebuilt(before: bytes, ahead: int, content: str, number: int) -> bytes | None:
    """The packet that its sender made ``ahead`` packets after ``before``; ``number`` counts from its first.

    ``content`` is that of ``lab.sip.base.Train``. ``None``: it can't be made again, if encrypted for example.
    """
    if content == "image":  # UDPTL: a sequence number, then always the same bytes
        return ((int.from_bytes(before[:2], "big") + ahead) & 0xFFFF).to_bytes(2, "big") + before[2:]
    header = unpack_rtp(before)
    if header is None:
        return None
    if content == "video":
        payload, step = before[12:], PACES["video"].step
    else:
        signal = by_name(content)
        if signal is None:
            return None
        payload, step = signal.frame(number), SAMPLES
    following = header._replace(
        marker=False,
        sequence=(header.sequence + ahead) & 0xFFFF,
        timestamp=(header.timestamp + ahead * step) & 0xFFFFFFFF,
    )
    return pack_rtp(following, payload)
