"""A phone stays registered for a quarter of an hour, with a registration that lasts two minutes.

Every refresh is a REGISTER on the binding that is there; when the server's nonce has grown old, it
challenges again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from siplab.experiments.scenarios.register import register
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.phone.registration import RegistrationState


@dataclass(frozen=True)
class ReRegister:
    """``expires``: the lifetime that the phone asks for; ``duration`` of it all; both in seconds."""

    expires: Annotated[int, Ge(60)] = 120
    duration: Annotated[float, Ge(60)] = 900.0

    def run(self, stage: Stage) -> None:
        stage.with_phone(expires=self.expires)
        if not register(stage):
            return
        phone, server = stage.phone, stage.server
        known: list[bool] = []
        failed: list[float] = []
        while stage.now < self.duration:
            stage.idle(10.0)
            known.append(bool(server.registrar.lookup(phone.config.user)))
            if phone.registration.state is not RegistrationState.REGISTERED:
                failed.append(stage.now)
        stage.check(
            "stays registered",
            not failed,
            "The phone loses its registration again and again: its display says so.",
            f"not registered at {failed[0]:g} s" if failed else f"for {stage.now:g} s",
        )
        stage.check(
            "stays known to the server",
            all(known),
            "The provider forgets the phone between two registrations: callers reach voicemail.",
            f"{known.count(False)} of {len(known)} times it was not known",
        )


ITEM = Item("re-register", "A phone refreshes its registration for a quarter of an hour.", ReRegister())
