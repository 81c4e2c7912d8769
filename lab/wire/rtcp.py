"""RTCP packets (RFC 3550 section 6): reports, names and goodbyes, packed and unpacked.

One datagram holds a *compound*: a report first, then the rest. ``unpack_rtcp`` takes any bytes.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

_SR: Final = 200
_RR: Final = 201
_SDES: Final = 202
_BYE: Final = 203
_CNAME: Final = 1
_HEADER: Final = struct.Struct("!BBH")
_SENDER: Final = struct.Struct("!QIII")
_BLOCK: Final = struct.Struct("!IB3sIIII")


class SenderInfo(NamedTuple):
    """What a sender says of itself (section 6.4.1).

    ``ntp``: seconds in 32.32 fixed point. ``rtp``: the same moment in timestamp units. ``packets`` and
    ``octets`` (of payload): sent since the start.
    """

    ntp: int
    rtp: int
    packets: int
    octets: int


class ReportBlock(NamedTuple):
    """What a receiver says of one source (section 6.4.1).

    ``fraction``: packets lost since the previous report, in 256ths. ``lost``: packets lost since the start;
    duplicates can make it negative. ``highest``: the extended sequence number. ``jitter``: in timestamp
    units. ``last_sr`` and ``delay``: the middle 32 bits of the latest sender report's NTP time, and the time
    since that report, in 65536ths of a second.
    """

    ssrc: int
    fraction: int
    lost: int
    highest: int
    jitter: int
    last_sr: int
    delay: int


class Compound(NamedTuple):
    """One RTCP datagram. ``sender`` is ``None`` in a receiver report; ``bye``: the source leaves."""

    ssrc: int
    sender: SenderInfo | None
    blocks: tuple[ReportBlock, ...]
    cname: bytes
    bye: bool = False


def pack_rtcp(compound: Compound) -> bytes:
    """An SR or RR, an SDES with the CNAME, and a BYE if there is one."""
    ssrc = struct.pack("!I", compound.ssrc)
    blocks = b"".join(
        [
            _BLOCK.pack(
                each.ssrc,
                each.fraction,
                max(-0x800000, min(each.lost, 0x7FFFFF)).to_bytes(3, "big", signed=True),
                each.highest & 0xFFFFFFFF,
                each.jitter,
                each.last_sr,
                each.delay,
            )
            for each in compound.blocks
        ]
    )
    if compound.sender is None:
        packets = _packet(_RR, len(compound.blocks), ssrc + blocks)
    else:
        packets = _packet(_SR, len(compound.blocks), ssrc + _SENDER.pack(*compound.sender) + blocks)
    item = bytes([_CNAME, len(compound.cname)]) + compound.cname
    # A chunk ends with at least one null byte, and on a multiple of four (section 6.5).
    packets += _packet(_SDES, 1, ssrc + item + bytes(4 - len(item) % 4))
    return packets + (_packet(_BYE, 1, ssrc) if compound.bye else b"")


def unpack_rtcp(data: bytes) -> Compound | None:
    """The contents of a datagram; ``None`` for bytes that are no compound (section A.2)."""
    if len(data) < 8 or data[1] not in (_SR, _RR) or data[0] & 0x20:
        return None
    sender, cname, bye = None, b"", False
    blocks: tuple[ReportBlock, ...] = ()
    ssrc, at = int.from_bytes(data[4:8], "big"), 0
    while at < len(data):
        if len(data) - at < 4:
            return None
        first, kind, words = _HEADER.unpack_from(data, at)
        end = at + 4 + 4 * words
        if first & 0xC0 != 0x80 or end > len(data):
            return None
        body, count = data[at + 4 : end], first & 0x1F
        if kind in (_SR, _RR):
            begin = 24 if kind == _SR else 4
            if len(body) < begin + count * _BLOCK.size:
                return None
            if kind == _SR and at == 0:
                sender = SenderInfo(*_SENDER.unpack_from(body, 4))
            if at == 0:
                blocks = tuple(_block(body, begin + number * _BLOCK.size) for number in range(count))
        elif kind == _SDES and len(body) > 6 and body[4] == _CNAME:
            cname = body[6 : 6 + body[5]]
        elif kind == _BYE:
            bye = True
        at = end
    return Compound(ssrc, sender, blocks, cname, bye)


def _block(body: bytes, at: int) -> ReportBlock:
    ssrc, fraction, lost, *rest = _BLOCK.unpack_from(body, at)
    return ReportBlock(ssrc, fraction, int.from_bytes(lost, "big", signed=True), *rest)


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body
