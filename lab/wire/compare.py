"""In which parts two versions of one SIP message differ, by the names of the parts.

Names are for readers and for baselines: header fields as people write them (``Via``), ``start line``,
``SDP c=``, ``body``. Any bytes may be compared; nothing here judges which version is right.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from siplab.lab.wire.sdp import Sdp
from siplab.lab.wire.sip import SipMessage
from siplab.lab.wire.syntax import spelled

_MOST_NAMES: Final = 32  # a message may have as many names as it has lines


def differences(sent: bytes, seen: bytes) -> list[str]:
    """Names of the parts that differ, in the order of the message; empty for equal bytes only."""
    if sent == seen:
        return []
    before, after = SipMessage.parse(sent), SipMessage.parse(seen)
    found: list[str] = []
    if before.start_line != after.start_line:
        found.append("start line")
    here, there = _by_name(before), _by_name(after)
    names = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    found += [spelled(name) or "line without a name" for name in names[:_MOST_NAMES]]
    if len(names) > _MOST_NAMES:
        found.append("many more headers")
    if _order(before, after) != _order(after, before):
        found.append("order of headers")
    if before.body != after.body:
        found += _body_differences(before.body, after.body)
    if (before.prefix, before.separator) != (after.prefix, after.separator):
        found.append("empty lines")
    # The same pieces may be cut in other places, as in a message without its empty line.
    return found or ["spacing"]


def _by_name(message: SipMessage) -> dict[bytes, list[bytes]]:
    fields: dict[bytes, list[bytes]] = {}
    for field in message.fields:
        fields.setdefault(field.name, []).append(field.raw)
    return fields


def _order(message: SipMessage, other: SipMessage) -> list[bytes]:
    """The message's header names in order, without those that the other has more or fewer of."""
    counts = Counter(field.name for field in other.fields)
    counts.subtract(field.name for field in message.fields)
    return [field.name for field in message.fields if not counts[field.name]]


def _body_differences(sent: bytes, seen: bytes) -> list[str]:
    before, after = _lines(sent), _lines(seen)
    if len(before) != len(after):
        return ["body"]
    changed = [(kind, other) for (kind, raw), (other, new) in zip(before, after, strict=True) if raw != new]
    return list(
        dict.fromkeys(
            f"SDP {kind.decode('latin-1')}=" if kind and kind == other else "body" for kind, other in changed
        )
    )


def _lines(body: bytes) -> list[tuple[bytes, bytes]]:
    """``(type letter, bytes)`` of each line of a session description."""
    lines = []
    for section in Sdp.parse(body).sections:
        lines += [section.media] if section.media is not None else []
        lines += section.lines
    return [(line.type, line.raw) for line in lines]
