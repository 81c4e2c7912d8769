"""A phone stays registered for a quarter of an hour, with a registration that lasts two minutes.

Every refresh is a REGISTER on the binding that is there; when the server's nonce has grown old, it
challenges again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Ge

from siplab.experiments.scenarios.register import PATIENCE, register, sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.phone.registration import RegistrationState

_OTHER_PORT: Final = 5080
_VOICEMAIL: Final = 20.0  # seconds until it takes a call


@dataclass(frozen=True)
class ReRegister:
    """``expires``: the lifetime that the phone asks for; ``duration`` of it all; both in seconds.

    ``overload``: instead, the registrar refuses one refresh with 503 (RFC 3261 section 21.5.4). The
    registration is still good then (section 10.3), and the phone is called, from another port of the
    provider's.
    """

    expires: Annotated[int, Ge(60)] = 120
    duration: Annotated[float, Ge(60)] = 900.0
    overload: bool = False

    def run(self, stage: Stage) -> None:
        stage.with_phone(expires=self.expires)
        if self.overload:
            self._overloaded(stage)
            return
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

    def _overloaded(self, stage: Stage) -> None:
        stage.with_server(calls_from=_OTHER_PORT)
        phone, far = sign_in(stage)
        registrar = stage.server.registrar
        registrar.overloaded = True
        stage.do(phone, phone.register)
        stage.until(lambda: phone.registration.status == 503, PATIENCE)
        registrar.overloaded = False
        stage.do(far, lambda now: far.call("alice@lab.test", now))
        stage.check(
            "rings",
            stage.until(lambda: bool(phone.calls), _VOICEMAIL),
            "The called phone does not ring; the caller reaches voicemail.",
            far.calls[-1].reason,
        )
        stage.do(far, far.hang_up)


ITEM = Item("re-register", "A phone refreshes its registration for a quarter of an hour.", ReRegister())
