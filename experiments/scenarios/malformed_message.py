"""A message that is no SIP leaves the home for the provider's port 5060.

Some ALGs drop what they can't read, "acting as a very basic filter" (article C), others pass it as it is.
None should stop working by it. From outside nothing comes in that a stranger sends, ALG or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from siplab.experiments.scenarios.register import FAILED, PATIENCE, REGISTERED, register
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.probing.raw_udp import RawUdp
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.trace import Received

_FROM: Final = 5066
_SIP: Final = 5060
_START: Final = b"REGISTER sip:malformed.lab.test SIP/2.0\r\n"
_HEAD: Final = (
    _START + b"Via: SIP/2.0/UDP 192.0.2.1:5066;branch=z9hG4bKmalformed\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: <sip:x@lab.test>;tag=1\r\n"
    b"To: <sip:x@lab.test>\r\n"
    b"Call-ID: malformed\r\n"
)
_BINARY: Final = bytes(range(256)) * 2
_MARKS: Final = (b"z9hG4bKmalformed", b"Call-ID: malformed", _BINARY)  # a router may change one of them
_MESSAGES: Final = {
    "no-cseq": _HEAD + b"Content-Length: 0\r\n\r\n",
    "no-colon": _HEAD + b"CSeq 1 REGISTER\r\nContent-Length: 0\r\n\r\n",
    "binary": _START + _BINARY,
}


@dataclass(frozen=True)
class MalformedMessage:
    """``what`` is wrong: there is no CSeq, it has no colon, or behind the start line stand bytes, no text."""

    what: Literal["no-cseq", "no-colon", "binary"] = "no-cseq"

    def run(self, stage: Stage) -> None:
        if not register(stage):
            return
        host, address = stage.host("phone")
        sender = RawUdp(Endpoint(address, _FROM))
        stage.world.add(host, sender)
        provider, server = stage.host("server")
        message = _MESSAGES[self.what]
        stage.do(sender, lambda now: sender.say(message, Endpoint(server, _SIP)))
        stage.idle(2.0)
        arrived = any(
            isinstance(each, Received)
            and each.host == provider
            and any(mark in each.payload for mark in _MARKS)
            for each in stage.world.trace
        )
        stage.check(
            "passes",
            arrived,
            "Nobody notices: what is no SIP ends at the router.",
        )
        registration = stage.phone.registration
        stage.do(stage.phone, stage.phone.register)
        stage.until(lambda: registration.state in (REGISTERED, FAILED), PATIENCE)
        stage.check(
            "telephony goes on",
            registration.state is REGISTERED,
            "After one message that is no SIP nobody can telephone any more.",
            f"{registration.state.value}, last answer {registration.status or 'none'}",
        )


ITEM = Item("malformed-message", "A message that is no SIP leaves the home.", MalformedMessage())
