"""The phone's Call-ID has no address in it, as RFC 3261 section 8.1.1.4 allows.

Helps against routers that replace the phone's address wherever it stands: a Call-ID that was changed on
the way is another call's, and the phone throws the answer away. It does nothing against what else such
routers change.
Source: RFC 3261 section 8.1.1.4, RFC 5853 section 3.1.3 (topology hiding), and phones that do so: pjsip,
libre.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class RandomCallId:
    """A random token, on both sides."""

    actors: ClassVar = (Actor.PHONE,)

    def apply(self, setup: Setup) -> Setup:
        form = {"call_id_form": "token"}
        return replace(setup, phone={**setup.phone, **form}, far_phone={**setup.far_phone, **form})


ITEM = Item("random-call-id", "Call-IDs are random and name no address.", RandomCallId())
