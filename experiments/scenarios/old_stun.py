"""A phone learns its public address from a STUN server that is as old as RFC 3489, and is called.

Such a server answers with MAPPED-ADDRESS, four bytes that look like what they are. NATs that exchanged them
on the way were why RFC 5389 has XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.server.stun_server import STUN_PORT, StunServer
from siplab.lab.wire.ip import Endpoint


@dataclass(frozen=True)
class OldStun:
    """``idle``: seconds between registration and call."""

    idle: Annotated[float, Ge(0)] = 1.0

    def run(self, stage: Stage) -> None:
        host, address = stage.host("server")
        other = stage.setup.stun or stage.setup.turn  # a mitigation has a server at that port
        asked = Endpoint(address, STUN_PORT + bool(other))
        stage.world.add(host, StunServer(asked, classic=True))
        stage.with_phone(stun=asked)
        phone, far = sign_in(stage)
        stage.idle(self.idle)
        talk = connect(stage, caller=far, callee=phone, target="alice@lab.test")
        if talk is not None:
            both_hear(stage, talk)
            hang_up(stage, talk)


ITEM = Item("old-stun", "A phone that asks a STUN server of old is called.", OldStun())
