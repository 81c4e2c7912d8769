"""Kinds of phones and servers: settings under a name, for trials to choose.

A kind is a dictionary of settings. What a mitigation or a scenario asks for is laid over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from siplab.experiments.trial import registry
from siplab.experiments.trial.spec import is_program
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class PhoneKind:
    """What the phones behind the router are. ``stun``: they ask the provider's STUN server."""

    stun: ClassVar[bool] = False

    def phone(self) -> Mapping[str, Any]:
        """Fields of ``PhoneConfig``."""
        return {}

    def far_phone(self) -> Mapping[str, Any]:
        """The same where the kind is that of the phones on the internet."""
        return self.phone()

    def apply(self, setup: Setup) -> Setup:
        return replace(setup, phone={**setup.phone, **self.phone()}, stun=setup.stun or self.stun)


@dataclass(frozen=True)
class ServerKind:
    """What the provider has: its server, and the phones on the internet."""

    def server(self) -> Mapping[str, Any]:
        """Fields of ``ServerConfig``."""
        return {}

    def far_phone(self) -> Mapping[str, Any]:
        """Fields of ``PhoneConfig``."""
        return {}

    def apply(self, setup: Setup) -> Setup:
        return replace(
            setup,
            server={**setup.server, **self.server()},
            far_phone={**setup.far_phone, **self.far_phone()},
        )


def apply(setup: Setup, phone: str, server: str, far_phone: str = "") -> Setup:
    """The settings with these kinds of endpoints, empty: the plain ones. Raises ``UsageError``.

    ``far_phone``: what the phones on the internet are, before what the server's kind says of them.
    """
    programs = {"phone": phone, "far-phone": far_phone, "server": server}
    programs = {role: spec for role, spec in programs.items() if is_program(spec)}
    for role, spec in programs.items():
        registry.program(spec, "server" if role == "server" else "phone")
    setup = replace(setup, programs={**setup.programs, **programs})
    if phone and "phone" not in programs:
        setup = registry.phones().get(phone).settings.apply(setup)
    if far_phone and "far-phone" not in programs:
        kind = registry.phones().get(far_phone).settings
        setup = replace(setup, far_phone={**setup.far_phone, **kind.far_phone()})
    if server and "server" not in programs:
        setup = registry.servers().get(server).settings.apply(setup)
    return setup


def notes(phone: str, server: str, far_phone: str = "") -> list[str]:
    """What of these kinds the lab's agents do not do yet, a sentence for each kind."""
    found = []
    named = [(registry.phones, phone), (registry.servers, server)]
    if far_phone != phone:
        named.append((registry.phones, far_phone))
    for known, spec in named:
        plain = spec and not is_program(spec)
        unwired = getattr(known().get(spec).settings, "unwired", ()) if plain else ()
        if unwired:
            found.append(f"{known().kind} '{spec}': not applied yet: {', '.join(unwired)}")
    return found
