"""A real program in place of the lab's server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siplab.experiments.programs.endpoints.jsonrpc import JsonRpcSocket
from siplab.experiments.programs.kind import JsonRpc
from siplab.experiments.programs.kinds import Chosen
from siplab.experiments.trial.roles import NotApplicableError
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.topology import DOMAIN


@dataclass(frozen=True)
class Binding:
    """A contact that a registrar has. Bindings of one user are equal if their contacts are."""

    contact: bytes


class Registrar:
    """What a program knows about the contacts of its users."""

    def __init__(self, name: str, rpc: JsonRpcSocket | None) -> None:
        self._name = name
        self._rpc = rpc

    def lookup(self, user: str) -> list[Binding]:
        """The bindings of a user. Raises ``NotApplicableError`` if the program can't be asked."""
        if self._rpc is None:
            raise NotApplicableError(f"{self._name} can't be asked where a user is")
        found = self._rpc.ask("ul.lookup", "location", f"{user}@{DOMAIN}")
        contacts = found.get("Contacts", []) if isinstance(found, dict) else []
        rows = [each.get("Contact", {}) for each in contacts if isinstance(each, dict)]
        return [Binding(str(each.get("Address", "")).encode()) for each in rows if isinstance(each, dict)]


@dataclass(frozen=True)
class ServerAddress:
    """The part of a server's configuration that others use."""

    ip: str
    domain: str = DOMAIN


class ProgramServer:
    """A real registrar and proxy."""

    def __init__(self, name: str, address: str, rpc: JsonRpcSocket | None = None) -> None:
        self.config = ServerAddress(address)
        self.name = name
        self._rpc = rpc
        self.registrar = Registrar(name, rpc)

    @classmethod
    def of(cls, world: LiveWorld, address: str, chosen: Chosen, folder: Path) -> ProgramServer:
        """A server of this kind that is running."""
        control = chosen.kind.control
        rpc = None
        if isinstance(control, JsonRpc) and "lookup" in chosen.kind.can:
            rpc = JsonRpcSocket(world, folder / control.socket)
        return cls(f"program '{chosen.kind.id}'", address, rpc)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotApplicableError(f"{self.name} does not tell '{name}'")

    def close(self) -> None:
        if self._rpc is not None:
            self._rpc.close()
