"""How the lab gives a real phone orders, and hears from it what happens.

Whoever the phone is, ``poll`` gives what happened since the last look, and ``order`` has it do something.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from siplab.experiments.programs.kind import Happening, Lines, Order
from siplab.experiments.programs.process import Process
from siplab.lab.worlds.emulated.live import LiveWorld

_PIECE: Final = 65536
_LONGEST: Final = 1 << 20  # bytes of one event; more is no event


@dataclass(frozen=True)
class Event:
    """Something that happened at a phone. ``call_id``: of the call, where the program says it.

    ``outgoing``: whether the phone placed that call, where it says so. ``text``: what it says of it.
    """

    kind: Happening
    call_id: str = ""
    outgoing: bool | None = None
    text: str = ""


class Control(Protocol):
    def poll(self) -> list[Event]: ...

    def order(self, order: Order, **values: str) -> None: ...

    def close(self) -> None: ...


class CtrlTcpControl:
    """baresip's module ctrl_tcp: each way netstrings of JSON, events unasked."""

    _EVENTS: Final[Mapping[str, Happening]] = {
        "REGISTER_OK": "registered",
        "REGISTER_FAIL": "refused",
        "CALL_INCOMING": "incoming",
        "CALL_RINGING": "ringing",
        "CALL_PROGRESS": "ringing",
        "CALL_ESTABLISHED": "established",
        "CALL_CLOSED": "closed",
    }
    _ORDERS: Final[Mapping[Order, str]] = {
        "call": "dial",
        "answer": "accept",
        "hang-up": "hangup",
        "hold": "hold",
        "resume": "resume",
        "transfer": "transfer",
        "dial": "sndcode",
        "quit": "quit",
    }

    def __init__(self, world: LiveWorld, host: str, port: int) -> None:
        self._socket = world.socket(host, socket.AF_INET, socket.SOCK_STREAM)
        with suppress(BlockingIOError):
            self._socket.connect(("127.0.0.1", port))
        self._data = b""
        self._told = False

    def poll(self) -> list[Event]:
        found = [] if self._told else [Event("control")]
        self._told = True
        with suppress(OSError):  # nothing there, or the program has ended: its exit status tells
            while piece := self._socket.recv(_PIECE):
                self._data += piece
        while (message := self._next()) is not None:
            event = self._event(message)
            if event is not None:
                found.append(event)
        return found

    def _next(self) -> Any:
        size, colon, rest = self._data.partition(b":")
        if not colon or not size.isdigit() or int(size) > _LONGEST or len(rest) < int(size) + 1:
            return None
        text, self._data = rest[: int(size)], rest[int(size) + 1 :]
        try:
            return json.loads(text)
        except ValueError:
            return {}

    def _event(self, message: Any) -> Event | None:
        if not isinstance(message, dict):
            return None
        kind = self._EVENTS.get(str(message.get("type", "")))
        if kind is None:
            return None
        direction = message.get("direction")
        outgoing = {"outgoing": True, "incoming": False}.get(str(direction))
        return Event(kind, str(message.get("id", "")), outgoing, str(message.get("param", "")))

    def order(self, order: Order, **values: str) -> None:
        # Its calls are ordered by number or by being current; the latest call is.
        parameter = values.get("target") or values.get("digits")
        body = {"command": self._ORDERS[order], **({"params": parameter} if parameter else {})}
        text = json.dumps(body).encode()
        with suppress(OSError):
            self._socket.sendall(b"%d:%s," % (len(text), text))

    def close(self) -> None:
        self._socket.close()


class LinesControl:
    """A program with orders on standard input, that prints what happens."""

    def __init__(self, process: Process, lines: Lines) -> None:
        self._process = process
        self._lines = lines
        self._read = 0
        self._patterns = {kind: re.compile(pattern) for kind, pattern in lines.happenings.items()}

    def poll(self) -> list[Event]:
        self._process.drain()
        text = self._process.stdout
        end = text.rfind(b"\n") + 1
        fresh, self._read = text[self._read : end], max(self._read, end)
        found = []
        for line in fresh.decode("utf-8", "replace").splitlines():
            found += [self._event(kind, line) for kind, each in self._patterns.items() if each.search(line)]
        return found

    def _event(self, kind: Happening, line: str) -> Event:
        return Event(kind, text=" ".join(line.split()))

    def order(self, order: Order, **values: str) -> None:
        text = self._lines.orders[order]
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        self._process.say(text)

    def close(self) -> None:
        pass
