"""A call whose phones find the way of their media themselves: ICE (RFC 8445).

The phone behind the router offers its own address and the one that a STUN server saw; both try all ways.
Nobody sends media back to where they come from, so without ICE there is no sound through a NAT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage


@dataclass(frozen=True)
class IceCall:
    """``far``: whether the phone on the internet checks too, or only answers."""

    far: Literal["full", "lite"] = "full"

    def run(self, stage: Stage) -> None:
        stage.with_phone(ice="full", ice_server=stage.stun_server.local)
        stage.with_far_phone(ice=self.far, latching=False)
        phone, far = sign_in(stage)
        talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        if talk is None:
            return
        both_hear(stage, talk)
        for who, end, _ in talk.ends:
            selected = end.media.ice["audio"].selected
            stage.check(
                f"{who} uses ICE",
                end.media.uses_ice("audio") and selected is not None,
                "The phones give ICE up: sound only where the router or the provider makes a way.",
                f"media go to {selected}" if selected is not None else "no pair of candidates was selected",
                "media",
            )
        hang_up(stage, talk)


ITEM = Item("ice-call", "A call whose phones find a way through the NAT by ICE.", IceCall())
