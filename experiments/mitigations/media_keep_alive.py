"""Streams that say nothing send a packet now and then: RFC 6263.

Without, a pause or a held call lets the NAT's binding for media end, and an ALG's pinhole with it.
The packets have a payload type that nobody negotiated, which receivers ignore. It does not
help when the binding's other end is wrong.
Source: RFC 6263.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Gt

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class MediaKeepAlive:
    """``interval``: seconds between two packets, on both sides of a call."""

    actors: ClassVar = (Actor.PHONE,)

    interval: Annotated[float, Gt(0)] = 15.0

    def apply(self, setup: Setup) -> Setup:
        beat = {"media_keepalive": self.interval}
        return replace(setup, phone={**setup.phone, **beat}, far_phone={**setup.far_phone, **beat})


ITEM = Item("media-keep-alive", "Silent streams keep their bindings alive (RFC 6263).", MediaKeepAlive())
