"""A phone registers, with digest authentication.

phone -> server   REGISTER
phone <- server   401 Unauthorized
phone -> server   REGISTER with credentials
phone <- server   200 OK
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.phone.phone import Phone
from siplab.lab.phone.registration import RegistrationState

# Timer F: a phone gives up on a REGISTER after 64 * T1 (RFC 3261 section 17.1.2.2).
PATIENCE = 33.0
REGISTERED, FAILED = RegistrationState.REGISTERED, RegistrationState.FAILED


@dataclass(frozen=True)
class Register:
    """The phone registers once.

    ``registrar``: whether it knows that by its ``name``, or by its ``address``.
    """

    registrar: Literal["name", "address"] = "name"

    def run(self, stage: Stage) -> None:
        if self.registrar == "address":
            stage.with_phone(domain=stage.host("server")[1])
        register(stage)


def register(stage: Stage, phone: Phone | None = None, name: str = "") -> bool:
    """Register a phone, by default the one behind the router, with its two checks; says whether it succeeded.

    ``name`` goes before the checks' names.
    """
    phone, server = phone or stage.phone, stage.server
    registration = phone.registration
    # What another phone of the user left there does not make this one known.
    before = server.registrar.lookup(phone.config.user)
    stage.do(phone, phone.register)
    stage.until(lambda: registration.state in (REGISTERED, FAILED), PATIENCE)
    registered = stage.check(
        f"{name}registered",
        registration.state is REGISTERED,
        "The phone shows that it is not registered; it can neither call nor be called.",
        f"{registration.state.value}, last answer {registration.status or 'none'}",
    )
    known = [each for each in server.registrar.lookup(phone.config.user) if each not in before]
    stage.check(
        f"{name}known to the server",
        bool(known),
        "The provider does not know where the phone is: callers reach voicemail.",
        ", ".join(binding.contact.decode("latin-1") for binding in known),
    )
    return registered


def still_registered(stage: Stage, phone: Phone) -> bool:
    """Whether a phone is still registered, or again, by its own account."""
    registration = phone.registration
    return stage.check(
        "still registered",
        registration.state is REGISTERED,
        "The phone shows that it is not registered any more.",
        f"{registration.state.value}, last answer {registration.status or 'none'}",
    )


def sign_in(stage: Stage, *others: Phone) -> tuple[Phone, Phone]:
    """Register the far phone and ``others`` first, then the phone behind the router, with its checks.

    Returns the phone behind the router and the far one.
    """
    phone, far = stage.phone, stage.far_phone
    for each in (far, *others):
        stage.do(each, each.register)
    stage.idle(1.0)
    register(stage)
    return phone, far


ITEM = Item("register", "A phone behind the router registers with digest authentication.", Register())
