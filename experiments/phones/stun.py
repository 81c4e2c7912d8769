"""A phone that asks a STUN server where it is seen (RFC 8489, RFC 5389).

It asks from each of its sockets, writes the answers into Via, Contact and SDP, and asks again every 25 s.
What it learns is true for the STUN server: behind a NAT whose mapping depends on the destination it is wrong
for everybody else. What is public already an ALG "translates back" in answers, and then it is not what the
phone wrote: one that compares sent-by (RFC 3261 section 18.1.2), as this one does and hardly any other, takes
no answer. Keenetic's and ZyXEL's documentation says not to combine the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Gt

from siplab.experiments.trial.endpoints import PhoneKind
from siplab.experiments.trial.registry import Item


@dataclass(frozen=True)
class Stun(PhoneKind):
    """``interval``: seconds between questions."""

    stun: ClassVar[bool] = True
    interval: Annotated[float, Gt(0)] = 25.0

    def phone(self) -> Mapping[str, Any]:
        return {"latch_after": 1, "keepalive_interval": self.interval}


ITEM = Item("stun", "Announces the addresses that a STUN server tells it.", Stun())
