"""The phone signs off, with ``Contact: *`` or by its own Contact: calls must then reach nobody."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.experiments.scenarios.register import register
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.phone.registration import RegistrationState


@dataclass(frozen=True)
class Deregister:
    """``everything``: with ``Contact: *``."""

    everything: bool = True

    def run(self, stage: Stage) -> None:
        phone, server = stage.phone, stage.server
        if not register(stage):
            return
        stage.idle(5.0)
        stage.do(phone, lambda now: phone.unregister(now, everything=self.everything))
        registration = phone.registration
        stage.until(lambda: registration.state is not RegistrationState.REGISTERED, 35.0)
        stage.idle(1.0)
        stage.check(
            "signed off",
            registration.state is RegistrationState.UNREGISTERED,
            "The phone can't sign off.",
            f"{registration.state.value}, last answer {registration.status or 'none'}",
        )
        left = server.registrar.lookup(phone.config.user)
        stage.check(
            "forgotten by the server",
            not left,
            "Calls still go to a phone that has signed off: they ring for nobody.",
            ", ".join(binding.contact.decode("latin-1") for binding in left),
        )


ITEM = Item("deregister", "The phone removes its registration.", Deregister())
