"""Switch the ALG off in the router: what providers ask for first, where the router allows it.

On a vendor's router it does what that vendor's switch does, as far as its card knows: there are some that
drop SIP when they are put to "off", and some without effect (``siplab vendors show``).

It does not help against a NAT whose bindings end early, nor with a server that works with an ALG only.
Source: the three articles that this project began with, and the cards of vendors (``siplab vendors``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from siplab.alg_models import profiles
from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class AlgOff:
    """Every gateway runs the model ``none``, or what is left of a vendor's router."""

    actors: ClassVar = (Actor.ROUTER,)

    def apply(self, setup: Setup) -> Setup:
        models = {name: profiles.spec_switched_off(spec) for name, spec in setup.models.items()}
        return replace(setup, models=models)


ITEM = Item("alg-off", "The router's ALG is switched off.", AlgOff())
