"""The ALG opens pinholes, and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Gt

from siplab.alg_models.steps.media import dialog_owner
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, NotShown, Recipe, Source
from siplab.lab.wire.ip import UDP, Endpoint
from siplab.lab.wire.sdp import Sdp, address_of
from siplab.lab.wire.sip import SipMessage

_MEDIA: Final = 120.0  # seconds


@dataclass(frozen=True)
class OpenOnly:
    """Keep signalling bindings for ``seconds``, and open the media ports that a phone announces to everybody.

    The messages stay as they are, so the media's public port need not be the announced one.
    """

    seconds: Annotated[float, Gt(0)] = 1800.0

    def recipe(self) -> Recipe:
        return Recipe(first=(self,), policy={"signalling_timeout": self.seconds})

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound or not message.body.startswith(b"v="):
            return
        sdp = Sdp.parse(message.body)
        for section in sdp.media:
            line = sdp.connection(section)
            address = address_of(line).decode("latin-1") if line is not None else ""
            if not section.port or not context.is_inside(address):
                continue
            media = Endpoint(address, section.port)
            # The phone's own packets make the binding; the pinhole opens it to everybody.
            binding = context.nat.find(UDP, media, context.remote, context.now)
            if binding is not None:
                end = context.now + _MEDIA
                context.nat.open_pinhole(binding, None, end, dialog_owner(message))


MODEL = Model(
    id="pinholes-only",
    card=Card(
        summary="Opens pinholes and holds bindings for half an hour, and writes nothing into messages.",
        kind="reference-implementation",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@192.168.1.20:5060>",
            ),
            Example(
                "state-invite-after-310s", b"INVITE sip:alice@203.0.113.7", b"INVITE sip:alice@203.0.113.7"
            ),
        ),
        rules=(
            "RFC 3261 8.1.1.8",
            "RFC 8866 5.7",
        ),
        symptom=(
            "None with phones and servers that cope with NAT themselves. Who relies on the ALG registers "
            "and is not called."
        ),
        sources=(
            Source(
                "Zyxel community, SIP ALG in uOS, by the vendor: sessions are kept longer and pinholes "
                "opened; messages are not modified",
                Evidence.VENDOR_DOCUMENTATION,
                "https://community.zyxel.com/en/discussion/28313/sip-alg-in-uos-understanding-and-configuring-voip-traffic-handling",
            ),
            Source("Which port is opened for media whose announcement is not rewritten", Evidence.INFERENCE),
        ),
        not_shown=NotShown(
            "harmless",
            "messages pass as in a router without an ALG, and the ports that it opens are let "
            "shut again in time",
        ),
    ),
    fault=OpenOnly(),
)
