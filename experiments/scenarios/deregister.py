"""The phone signs off by its own Contact, comes back, and signs off with ``Contact: *`` (RFC 3261 10.2.2).

Calls must then reach nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.experiments.scenarios.register import register
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.phone.registration import RegistrationState


@dataclass(frozen=True)
class Deregister:
    """``by``: its own ``contact``, with ``expires=0``; ``star``: ``Contact: *``; or one after the other."""

    by: Literal["both", "contact", "star"] = "both"

    def run(self, stage: Stage) -> None:
        if self.by != "star" and not self._signs_off(stage, everything=False):
            return
        if self.by != "contact":
            self._signs_off(stage, everything=True)

    def _signs_off(self, stage: Stage, *, everything: bool) -> bool:
        phone, server = stage.phone, stage.server
        again = everything and self.by == "both"
        if not register(stage, name="again " if again else ""):
            return False
        stage.idle(5.0)
        stage.do(phone, lambda now: phone.unregister(now, everything=everything))
        registration = phone.registration
        stage.until(lambda: registration.state is not RegistrationState.REGISTERED, 35.0)
        stage.idle(1.0)
        behind = " with *" if everything and again else ""
        stage.check(
            "signed off" + behind,
            registration.state is RegistrationState.UNREGISTERED,
            "The phone can't sign off.",
            f"{registration.state.value}, last answer {registration.status or 'none'}",
        )
        left = server.registrar.lookup(phone.config.user)
        stage.check(
            "forgotten by the server" + behind,
            not left,
            "Calls still go to a phone that has signed off: they ring for nobody.",
            ", ".join(binding.contact.decode("latin-1") for binding in left),
        )
        return registration.state is RegistrationState.UNREGISTERED


ITEM = Item("deregister", "The phone removes its registration.", Deregister())
