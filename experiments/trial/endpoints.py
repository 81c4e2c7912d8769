"""Kinds of phones and servers: settings under a name, for trials to choose.

A kind is a dictionary of settings. What a mitigation or a scenario asks for is laid over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from siplab.experiments.trial import registry
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class PhoneKind:
    """What the phones behind the router are. ``stun``: they ask the provider's STUN server."""

    stun: ClassVar[bool] = False

    def phone(self) -> Mapping[str, Any]:
        """Fields of ``PhoneConfig``."""
        return {}

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


def apply(setup: Setup, phone: str, server: str) -> Setup:
    """The settings with these kinds of endpoints, empty: the plain ones. Raises ``UsageError``."""
    if phone:
        setup = registry.phones().get(phone).settings.apply(setup)
    if server:
        setup = registry.servers().get(server).settings.apply(setup)
    return setup


def notes(phone: str, server: str) -> list[str]:
    """What of these kinds the lab's agents do not do yet, a sentence for each kind."""
    found = []
    for known, spec in ((registry.phones, phone), (registry.servers, server)):
        unwired = getattr(known().get(spec).settings, "unwired", ()) if spec else ()
        if unwired:
            found.append(f"{known().kind} '{spec}': not applied yet: {', '.join(unwired)}")
    return found
