"""Switch the ALG off in the router: what providers ask for first, where the router allows it.

It does not help against a NAT whose bindings end early, nor with a server that works with an ALG only.
Source: the three articles that this project began with, and the cards of vendors (``siplab vendors``).
"""

from __future__ import annotations

from dataclasses import dataclass

from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class AlgOff:
    """Every gateway runs the model ``none``."""

    def apply(self, setup: Setup) -> Setup:
        return setup.with_model("none")


ITEM = Item("alg-off", "The router's ALG is switched off.", AlgOff())
