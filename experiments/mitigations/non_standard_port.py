"""Move SIP to another server port: an ALG that looks at port 5060 only then sees nothing.

Providers offer this where a router's ALG can't be switched off. It does nothing against an ALG
that looks at other ports too, and what a correct ALG would have done is not done either.
Source: FusionPBX's documentation on NAT recommends another port.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class NonStandardPort:
    """Phones use ``port`` of the server instead of 5060."""

    actors: ClassVar = (Actor.PHONE, Actor.PROVIDER)

    port: Annotated[int, Ge(1), Le(65535)] = 5080

    def apply(self, setup: Setup) -> Setup:
        ports = tuple(sorted({5060, self.port}))
        return replace(setup, sip_port=self.port, server={**setup.server, "ports": ports})


ITEM = Item("non-standard-port", "Phones reach the server on another port than 5060.", NonStandardPort())
