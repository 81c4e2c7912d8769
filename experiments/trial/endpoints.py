"""Kinds of phones and servers: named settings from which trials choose.

A kind is a dictionary of settings. What a mitigation or a scenario sets takes precedence over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from siplab.experiments.trial import registry
from siplab.experiments.trial.pairs import DEFAULT
from siplab.experiments.trial.spec import is_program
from siplab.experiments.trial.stage import Setup
from siplab.lab.errors import UsageError
from siplab.lab.worlds.topology import Topology


@dataclass(frozen=True)
class PhoneKind:
    """A kind of phones behind the router. ``stun``: they ask the provider's STUN server."""

    stun: ClassVar[bool] = False

    def phone(self) -> Mapping[str, Any]:
        """Fields of ``PhoneConfig``."""
        return {}

    def far_phone(self) -> Mapping[str, Any]:
        """The same, if phones on the internet are of this kind."""
        return self.phone()

    def apply(self, setup: Setup) -> Setup:
        return replace(setup, phone={**setup.phone, **self.phone()}, stun=setup.stun or self.stun)


@dataclass(frozen=True)
class ServerKind:
    """What the provider has: its server, and the phones on the internet.

    ``far_kind``: the kind of these phones if nobody names one.
    """

    far_kind: ClassVar[str] = DEFAULT.far_phone

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


def with_images(topology: Topology, phone: str, server: str, far_phone: str) -> tuple[str, str, str]:
    """The kinds, with those of phones that are containers in the topology.

    Raises ``UsageError`` if a named kind is a container in the topology, too.
    """
    found = {"phone": phone, "far-phone": far_phone}
    for name, host in topology.hosts.items():
        if host.image is not None and host.role in found:
            if found[host.role]:
                raise UsageError(f"the {host.role} can't be '{found[host.role]}': it is the image on {name}")
            found[host.role] = host.image.kind
    return found["phone"], server, found["far-phone"]


def apply(setup: Setup, phone: str = "", server: str = "", far_phone: str = "") -> Setup:
    """The setup with these kinds of endpoints; empty: those of ``pairs.DEFAULT``. Raises ``UsageError``.

    ``far_phone``: the kind of the phones on the internet. What the server's kind says of them takes
    precedence.
    """
    programs = {"phone": phone, "far-phone": far_phone, "server": server}
    programs = {role: spec for role, spec in programs.items() if is_program(spec)}
    for role, spec in programs.items():
        registry.program(spec, "server" if role == "server" else "phone")
    setup = replace(setup, programs={**setup.programs, **programs})
    if "phone" not in programs:
        setup = registry.phones().get(phone or DEFAULT.phone).settings.apply(setup)
    provider = ServerKind()
    if "server" not in programs:
        provider = registry.servers().get(server or DEFAULT.server).settings
    if "far-phone" in programs:
        return replace(provider.apply(setup), far_phone=setup.far_phone)  # a program has no such settings
    far = registry.phones().get(far_phone or provider.far_kind).settings
    return provider.apply(replace(setup, far_phone={**setup.far_phone, **far.far_phone()}))
