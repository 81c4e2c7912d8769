"""Measures what outsiders learn of the home network: inside addresses in the SIP that leaves it.

A NAT without an ALG leaves them in every message. An ALG that translates them hides them (article C: "in
theory"); this file counts how many get out nevertheless. If a phone writes its address into Call-ID, the ALG
must leave it there, whatever that reveals (RFC 3261 8.1.1.4).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Final

from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.trace import Trace

_ADDRESS: Final = re.compile(rb"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")


def inside_addresses_out(trace: Trace, is_inside: Callable[[str], bool]) -> dict[str, int]:
    """How many inside addresses left the outermost router, by the part of the message that contains them.

    ``is_inside``: whether an address belongs to a network behind a router of the trial. Names of headers are
    in lower case; the other parts are ``start line`` and ``body``.
    """
    found: Counter[str] = Counter()
    for passage in trace.passages:
        if passage.side is not Side.INSIDE:
            continue
        for emission in passage.emissions:
            if emission.side is not Side.OUTSIDE:
                continue
            packet = ip.parse(emission.packet)
            message = SipMessage.parse(packet.payload)
            if is_inside(packet.src) or not message.is_sip:
                continue  # another router is between this one and the internet
            parts = [("start line", message.start_line), ("body", message.body)]
            parts += [(each.name.decode("latin-1"), each.raw) for each in message.fields]
            for part, text in parts:
                found[part] += sum(is_inside(each.decode()) for each in _ADDRESS.findall(text))
    return dict(+found)
