"""How the lab gives a real phone orders, and hears from it what happens.

Whoever the phone is, ``poll`` gives what happened since the last look, and ``order`` has it do something.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from siplab.experiments.programs.kind import Happening, Lines, Order
from siplab.experiments.programs.process import Process
from siplab.lab.worlds.emulated.live import LiveWorld

_PIECE: Final = 65536
_ASK_EVERY: Final = 6  # looks
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


class Printed:
    """What happens, as a program prints it: regular expressions for a line."""

    def __init__(self, process: Process, happenings: Mapping[Happening, str]) -> None:
        self._process = process
        self._read = [0, 0]
        self._patterns = {kind: re.compile(pattern) for kind, pattern in happenings.items()}

    def poll(self) -> list[Event]:
        """What whole lines, new since the last look, tell."""
        self._process.drain()
        found = []
        for at, data in enumerate((self._process.stdout, self._process.stderr)):
            end = data.rfind(b"\n") + 1
            fresh, self._read[at] = data[self._read[at] : end], max(self._read[at], end)
            for line in fresh.decode("utf-8", "replace").splitlines():
                found += [
                    Event(kind, text=" ".join(line.split()))
                    for kind, pattern in self._patterns.items()
                    if pattern.search(line)
                ]
        return found


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
    }

    def __init__(self, world: LiveWorld, host: str, port: int, printed: Printed) -> None:
        self._printed = printed
        self._socket = world.socket(host, socket.AF_INET, socket.SOCK_STREAM)
        with suppress(BlockingIOError):
            self._socket.connect(("127.0.0.1", port))
        self._data = b""
        self._told = False

    def poll(self) -> list[Event]:
        found = [*([] if self._told else [Event("control")]), *self._printed.poll()]
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

    def __init__(self, process: Process, lines: Lines, begin: Iterable[str]) -> None:
        self._process = process
        self._lines = lines
        self._printed = Printed(process, lines.happenings)
        self._told = False
        self._registered = False
        self._looks = 0
        for line in begin:
            process.say(line)

    def poll(self) -> list[Event]:
        found = [*([] if self._told else [Event("control")]), *self._printed.poll()]
        self._told = True
        self._registered |= any(each.kind == "registered" for each in found)
        if self._lines.status is not None and not self._registered:
            if self._looks % _ASK_EVERY == 0:
                self._process.say(self._lines.status)
            self._looks += 1
        return found

    def order(self, order: Order, **values: str) -> None:
        text = self._lines.orders[order]
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        self._process.say(text)

    def close(self) -> None:
        pass
