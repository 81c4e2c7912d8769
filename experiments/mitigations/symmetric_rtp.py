"""Both phones send media from the port that they receive at (RFC 4961), and to where media come from.

With that, media find their way although the SDP is wrong, as soon as the phone behind the NAT has sent a
packet. It does not help where both sides are behind NAT, where the phone says nothing first, nor with
signalling. Source: RFC 4961, RFC 7362 section 4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class SymmetricRtp:
    """One port for both directions, and latching, on both sides."""

    actors: ClassVar = (Actor.PHONE,)

    def apply(self, setup: Setup) -> Setup:
        both = {"latch_after": 1, "rtp_source_offset": 0}
        return replace(setup, phone={**setup.phone, **both}, far_phone={**setup.far_phone, **both})


ITEM = Item("symmetric-rtp", "Media go back to where they come from (RFC 4961).", SymmetricRtp())
