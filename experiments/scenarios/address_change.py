"""The router's line is renewed and has another public address; the phone is not told.

What the server, the router and its ALG still know of the old address is of no use any more. The phone is to
be reachable again when it has refreshed its registration, and the server has forgotten the old Contact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from siplab.experiments.scenarios.call_checks import both_hear, connect, hang_up
from siplab.experiments.scenarios.register import sign_in, still_registered
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage


@dataclass(frozen=True)
class AddressChange:
    """``expires``: the registration's lifetime in seconds.

    Routers get the ``later`` address that the topology names; those without one get their old address back.
    """

    expires: Annotated[int, Ge(60)] = 120

    def run(self, stage: Stage) -> None:
        stage.with_phone(expires=self.expires)
        phone, far = sign_in(stage)
        for gateway in stage.world.gateways:
            stage.world.renumber(gateway)
        stage.idle(2 * self.expires)
        still_registered(stage, phone)
        talk = connect(stage, caller=far, callee=phone, target="alice@lab.test")
        if talk is not None:
            both_hear(stage, talk)
            hang_up(stage, talk)


ITEM = Item(
    "address-change", "The line gets another public address; the phone is called afterwards.", AddressChange()
)
