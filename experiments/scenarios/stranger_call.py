"""A ghost call: somebody on the internet sends INVITEs to port after port, until a telephone rings.

Scanners look for servers to call through, and ring the telephones that they find. A router without a way in
keeps them out; one that lets everybody in, or a DMZ host, does not (article C: "restrict services",
"allowlists where possible").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Ge

from siplab.experiments.scenarios.register import register
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.probing.raw_udp import RawUdp
from siplab.lab.sip.messages import hostport
from siplab.lab.wire.ip import Endpoint

_FROM: Final = 7780
_SIP: Final = 5060


@dataclass(frozen=True)
class StrangerCall:
    """After ``pause`` seconds: at port 5060 of the router, and at the one that the phone registered from."""

    pause: Annotated[float, Ge(0)] = 10.0

    def run(self, stage: Stage) -> None:
        if not register(stage):
            return
        bindings = stage.server.registrar.lookup(stage.phone.config.user)
        public = bindings[0].source if bindings else None
        stage.idle(self.pause)
        host, address = stage.host("far-phone")
        stranger = RawUdp(Endpoint(address, _FROM))
        stage.world.add(host, stranger)
        doors = [] if public is None else list(dict.fromkeys((public._replace(port=_SIP), public)))
        for number, door in enumerate(doors):
            invite = _invite(stranger.local, door, number)
            stage.do(stranger, lambda now, to=door, what=invite: stranger.say(what, to))  # type: ignore[misc]
        stage.idle(5.0)
        rung = [each for each in stage.phone.calls if each.ringing_at is not None]
        stage.check(
            "does not ring",
            not rung,
            "The telephone rings at night, and nobody is there: anybody on the internet can call it.",
            f"{len(rung)} of {len(doors)} calls of a stranger reached it",
        )


def _invite(stranger: Endpoint, door: Endpoint, number: int) -> bytes:
    sdp = (
        b"v=0\r\no=- 1 1 IN IP4 %(ip)b\r\ns=-\r\nc=IN IP4 %(ip)b\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0\r\n"
        % {b"ip": stranger.ip.encode()}
    )
    here = hostport(stranger)
    return (
        b"INVITE sip:100@%(to)b SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP %(here)b;branch=z9hG4bKghost%(number)d\r\n"
        b"Max-Forwards: 70\r\n"
        b"From: <sip:100@%(here)b>;tag=ghost%(number)d\r\n"
        b"To: <sip:100@%(to)b>\r\n"
        b"Call-ID: ghost%(number)d\r\n"
        b"CSeq: 1 INVITE\r\n"
        b"Contact: <sip:100@%(here)b>\r\n"
        b"Content-Type: application/sdp\r\n"
        b"Content-Length: %(length)d\r\n\r\n"
        % {b"to": hostport(door), b"here": here, b"number": number, b"length": len(sdp)}
    ) + sdp


ITEM = Item(
    "stranger-call", "A stranger on the internet calls the telephone, without its provider.", StrangerCall()
)
