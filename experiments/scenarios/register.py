"""A phone registers, with digest authentication.

phone -> server   REGISTER
phone <- server   401 Unauthorized
phone -> server   REGISTER with credentials
phone <- server   200 OK
"""

from __future__ import annotations

from dataclasses import dataclass

from experiments.registry import Item
from experiments.stage import Stage
from lab.agents.registration import RegistrationState

# Timer F: a phone gives up on a REGISTER after 64 * T1 (RFC 3261 section 17.1.2.2).
PATIENCE = 33.0
REGISTERED, FAILED = RegistrationState.REGISTERED, RegistrationState.FAILED


@dataclass(frozen=True)
class Register:
    """The phone registers once."""

    def run(self, stage: Stage) -> None:
        register(stage)


def register(stage: Stage) -> bool:
    """Register the phone behind the router, with its two checks; says whether the phone succeeded."""
    phone, server = stage.phone, stage.server
    registration = phone.registration
    stage.do(phone, phone.register)
    stage.until(lambda: registration.state in (REGISTERED, FAILED), PATIENCE)
    registered = stage.check(
        "registered",
        registration.state is REGISTERED,
        "The phone shows that it is not registered; it can neither call nor be called.",
        f"{registration.state.value}, last answer {registration.status or 'none'}",
    )
    known = server.bindings.get(server.aor(phone.config.user), [])
    stage.check(
        "known to the server",
        bool(known),
        "The provider does not know where the phone is: callers reach voicemail.",
        ", ".join(binding.contact.decode("latin-1") for binding in known),
    )
    return registered


ITEM = Item("register", "A phone behind the router registers with digest authentication.", Register())
