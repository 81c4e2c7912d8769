"""The phone registers again so often that the NAT's binding does not end.

A phone refreshes short registrations at half their time: 60 s means a REGISTER every 30 s. As a keep-alive it
costs more than CRLF, but every server knows it, and a rebooted router is got over within that time. It
does not help against altered messages: each REGISTER is one more.
Source: inference from RFC 4787 REQ-6: any packet from the inside refreshes a binding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Ge

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class ShortRegistration:
    """``expires``: the lifetime that is asked for, in seconds."""

    actors: ClassVar = (Actor.PHONE,)

    expires: Annotated[int, Ge(60)] = 60

    def apply(self, setup: Setup) -> Setup:
        return replace(setup, phone={**setup.phone, "expires": self.expires})


ITEM = Item("short-registration", "The phone registers every half minute.", ShortRegistration())
