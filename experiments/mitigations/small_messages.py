"""Messages stay below the MTU: fewer codecs and headers, and short header names.

A request larger than a packet goes over UDP in fragments, which some routers drop or don't put together
before they rewrite. Helps against that. It does nothing against a router that damages small messages;
what the other side or the provider adds is not the phone's to leave out.
Source: RFC 3261 section 18.1.1 (200 bytes below the path's MTU), section 7.3.3 for the names; providers'
advice to leave codecs out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class SmallMessages:
    """Compact names, nothing that is not needed, on both sides."""

    actors: ClassVar = (Actor.PHONE,)

    def apply(self, setup: Setup) -> Setup:
        small = {"compact": True, "padding": 0}
        return replace(setup, phone={**setup.phone, **small}, far_phone={**setup.far_phone, **small})


ITEM = Item("small-messages", "The phones' messages are small enough for one packet.", SmallMessages())
