"""Asks Kamailio's module jsonrpcs, by datagrams over a Unix socket."""

from __future__ import annotations

import itertools
import json
import socket
from pathlib import Path
from typing import Any, Final

from siplab.lab.worlds.emulated.live import LiveWorld

_PATIENCE: Final = 3.0
_MOMENT: Final = 0.02
_LONGEST: Final = 65536


class JsonRpcSocket:
    """Kamailio's module jsonrpcs, reached by a datagram socket in a folder."""

    def __init__(self, world: LiveWorld, path: Path) -> None:
        self._world = world
        self._path = path
        self._numbers = itertools.count(1)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._answers = path.with_name(f"{path.name}.answers")
        self._socket.bind(str(self._answers))

    def ask(self, method: str, *parameters: str, patience: float = _PATIENCE) -> Any:
        """The result; ``None`` if there is none, or no answer within ``patience`` seconds."""
        number = next(self._numbers)
        request = {"jsonrpc": "2.0", "method": method, "params": parameters, "id": number}
        answers: list[Any] = []

        def answered() -> bool:
            try:
                answers.append(json.loads(self._socket.recv(_LONGEST)))
            except (BlockingIOError, ValueError):
                return False
            return bool(answers[-1].get("id") == number)

        try:
            self._socket.sendto(json.dumps(request).encode(), str(self._path))
        except OSError:  # nobody listens, or not yet
            self._world.run_until(lambda: False, min(patience, _MOMENT))
            return None
        found = self._world.run_until(answered, patience, every=0.005)
        return answers[-1].get("result") if found else None

    def close(self) -> None:
        self._socket.close()
        self._answers.unlink(missing_ok=True)
