"""Switch the ALG off in the router: what providers ask for first, where the router allows it.

On a vendor's router it does what that vendor's switch does, as far as its card knows: there are some that
drop SIP when they are put to "off", and some without effect (``siplab vendors show``). ``leaves`` is for
what the switch may leave behind on any router:

- ``flows``: what is up keeps its ALG until its binding ends, as where a kernel chooses the helper of a flow
  when it begins. A phone that goes on from the same port is not helped until the router has been restarted.
- ``reboot``: nothing changes until the router is restarted, which nobody does.
- ``helper``: there were two, and one stays, as with FortiGate's proxy and its session helper.
- ``cloud``: the provider's remote management puts it on again, behind the user's back.

It does not help against a NAT whose bindings end early, nor with a server that works with an ALG only.
Source: the three articles that this project began with, and the cards of vendors (``siplab vendors``);
for what it leaves, nf_conntrack's helpers, Fortinet's technical tips, and users' reports of managed
routers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from siplab.alg_models import profiles, vendors
from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Later, Setup
from siplab.lab import specs

_HELPER = "session-helper"  # a variant of FortiGate's card


@dataclass(frozen=True)
class AlgOff:
    """``leaves``: ``card``, what the vendor's card says, and nothing on other routers; or see above."""

    actors: ClassVar = (Actor.ROUTER,)

    leaves: Literal["card", "flows", "reboot", "helper", "cloud"] = "card"

    def apply(self, setup: Setup) -> Setup:
        off = {name: profiles.spec_switched_off(spec) for name, spec in setup.models.items()}
        if self.leaves == "card":
            return replace(setup, models=off)
        if self.leaves == "flows":
            return replace(setup, later=Later(off, "new"))
        if self.leaves == "cloud":
            return replace(setup, models=off, later=Later(setup.models, "all"))
        if self.leaves == "helper":
            return replace(setup, models={name: _helped(spec) for name, spec in setup.models.items()})
        return setup


def _helped(spec: str) -> str:
    """What stays where the ALG was one of two: a card's own helper, or Linux's; no ALG has none beside it."""
    name = specs.parse(specs.split(spec, "model")[0], "model")[0]
    if name in vendors.available():
        helper = any(each.id == _HELPER for each in vendors.load(name).variants)
        return f"{name}(variant={_HELPER})" if helper else profiles.spec_switched_off(spec)
    return spec if name == "none" else "linux"


ITEM = Item("alg-off", "The router's ALG is switched off.", AlgOff())
