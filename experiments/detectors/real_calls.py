"""Probes with what real calls have in them beside the least. No detector by itself.

What a conversation does not contain a router can lose unnoticed: the loss of 407 stops every outgoing call.
So these have every method, status, header field and line of SDP that is in use (``lab.probing.real_calls``).
Each goes to the server itself, past a proxy: what it does not know is not the question here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from siplab.lab.probing import real_calls as real
from siplab.lab.probing.probe_messages import request, within
from siplab.lab.probing.probe_plan import Answers, Probe
from siplab.lab.wire.ip import Endpoint

_ROOM: Final = 950  # bytes of fields: with the rest of the message they fit a packet
_AT_ONCE: Final = 12  # final responses to one probe

Make = Callable[[bytes], bytes]


def _probe(name: str, make: Make, *orders: str) -> Probe:
    def compose(mark: bytes, answers: Answers, sent: Mapping[str, bytes]) -> bytes:
        return make(mark)

    return Probe(name, compose, orders, direct=True)


def real_calls(local: Endpoint) -> Sequence[Probe]:
    """The probes."""

    def fresh(method: bytes, *orders: str, name: str = "", headers: bytes = b"", body: bytes = b"") -> Probe:
        made = headers + real.OF_METHOD.get(method, b"")
        return _probe(
            name or method.decode(),
            lambda mark: request(method, mark, local, headers=made, body=body),
            *orders,
        )

    def in_call(method: bytes, number: int, *orders: str) -> Probe:
        """Within the dialog of the INVITE to cancel; a CANCEL has its CSeq number (RFC 3261 section 9.1)."""

        def compose(mark: bytes, answers: Answers, sent: Mapping[str, bytes]) -> bytes:
            invite, answer = sent.get(_TO_CANCEL, b""), answers.get(_TO_CANCEL)
            return within(
                method, mark, local, invite, answer, number, headers=real.OF_METHOD.get(method, b"")
            )

        return Probe(f"{method.decode()} in a call", compose, orders, direct=True)

    provisional = [str(each) for each in real.PROVISIONAL]
    finals = [str(each) for each in real.FINAL]
    return [
        fresh(b"INVITE", *provisional, name=_TO_CANCEL, headers=b"Supported: 100rel, timer\r\n"),
        in_call(b"PRACK", 2, "200"),
        in_call(b"UPDATE", 3, "200", "in:PRACK"),
        in_call(b"CANCEL", 1, "200", "487"),
        fresh(b"SUBSCRIBE", "202", "in:NOTIFY"),
        fresh(b"NOTIFY", "200", "SUBSCRIBE"),
        fresh(b"PUBLISH", "200", "REFER"),
        *(
            fresh(b"OPTIONS", "200+all", name=f"OPTIONS with fields {number}", headers=lines)
            for number, lines in enumerate(real.field_lines(_ROOM))
        ),
        *(
            fresh(b"INVITE", "200+all", name=f"INVITE with description {number}", headers=lines, body=body)
            for number, (body, lines) in enumerate(
                zip(real.descriptions(local.ip), (_ROUTE, b"", b""), strict=True)
            )
        ),
        *(
            fresh(b"OPTIONS", *finals[at : at + _AT_ONCE], name=f"OPTIONS with responses {at}")
            for at in range(0, len(finals), _AT_ONCE)
        ),
    ]


_TO_CANCEL: Final = "INVITE to cancel"
# Proxies inside that stay in the route, on lines of their own and in a list (RFC 3261 sections 7.3.1, 16.6).
_ROUTE: Final = (
    b"Via: SIP/2.0/UDP second.lab.test;branch=z9hG4bK2, SIP/2.0/TCP third.lab.test:5070;branch=z9hG4bK3\r\n"
    b"Via: SIP/2.0/UDP fourth.lab.test;branch=z9hG4bK4;received=192.0.2.7;rport=5064\r\n"
    b"Record-Route: <sip:second.lab.test;lr>, <sip:third.lab.test;transport=tcp;lr>\r\n"
    b"Record-Route: <sip:fourth.lab.test;lr;ftag=1>\r\n"
    b"Route: <sip:edge.lab.test;lr>, <sip:home.lab.test;lr>\r\n"
)
