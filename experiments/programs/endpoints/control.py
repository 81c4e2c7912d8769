"""How the lab gives orders to a real phone, and learns what happens there.

Each control has ``poll``, which returns what happened since the last call, and ``order``, which gives an
order.
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
from siplab.experiments.trial.roles import NotApplicableError
from siplab.lab.worlds.emulated.live import LiveWorld

_PIECE: Final = 65536
_ASK_EVERY: Final = 6  # polls between two questions


@dataclass(frozen=True)
class Event:
    """Something that happened at a phone. ``call_id``: of the call, if the program reports it.

    ``outgoing``: whether the phone placed that call, if reported. ``text``: what the program says about it.
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
    """Recognizes events in what a program prints: regular expressions for a line."""

    def __init__(self, process: Process, happenings: Mapping[Happening, str]) -> None:
        self._process = process
        self._read = [0, 0]
        self._patterns = {kind: re.compile(pattern) for kind, pattern in happenings.items()}

    def poll(self) -> list[Event]:
        """The events in complete lines that are new since the last call."""
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


class Netstrings:
    """JSON objects in netstrings, ``LENGTH:TEXT,``, from a stream. After a format error the rest is lost."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The objects that are complete now."""
        self._data += data
        found: list[dict[str, Any]] = []
        while True:
            size, colon, rest = self._data.partition(b":")
            if not colon or not size.isdigit() or len(size) > 7 or len(rest) < int(size) + 1:
                return found
            text, self._data = rest[: int(size)], rest[int(size) + 1 :]
            with suppress(ValueError):
                message = json.loads(text)
                if isinstance(message, dict):
                    found.append(message)


class CtrlTcpControl:
    """baresip's module ctrl_tcp: JSON in netstrings both ways; events come without being asked for."""

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
        self._words = Netstrings()
        self._told = False

    def poll(self) -> list[Event]:
        found = [*([] if self._told else [Event("control")]), *self._printed.poll()]
        self._told = True
        data = b""
        with suppress(OSError):  # no control port, or the program has ended: its exit status will show that
            while piece := self._socket.recv(_PIECE):
                data += piece
        events = (self._event(message) for message in self._words.feed(data))
        return [*found, *(each for each in events if each is not None)]

    def _event(self, message: dict[str, Any]) -> Event | None:
        kind = self._EVENTS.get(str(message.get("type", "")))
        if kind is None:
            return None
        direction = message.get("direction")
        outgoing = {"outgoing": True, "incoming": False}.get(str(direction))
        return Event(kind, str(message.get("id", "")), outgoing, str(message.get("param", "")))

    def order(self, order: Order, **values: str) -> None:
        # baresip selects the call of an order by its number, or uses the current call, which is the latest.
        parameter = values.get("target") or values.get("digits")
        body = {"command": self._ORDERS[order], **({"params": parameter} if parameter else {})}
        text = json.dumps(body).encode()
        with suppress(OSError):
            self._socket.sendall(b"%d:%s," % (len(text), text))

    def close(self) -> None:
        self._socket.close()


class LinesControl:
    """A program that takes orders on standard input and prints what happens."""

    def __init__(self, process: Process, lines: Lines, begin: Iterable[str], *, once: bool) -> None:
        self._process = process
        self._once = once
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
        if self._once and self._process.status is not None and not self._registered:
            found.append(Event("registered" if self._process.status == 0 else "refused"))
        self._registered |= any(each.kind in ("registered", "refused") for each in found)
        if self._lines.status is not None and not self._registered:
            if self._looks % _ASK_EVERY == 0:
                self._process.say(self._lines.status)
            self._looks += 1
        return found

    def order(self, order: Order, **values: str) -> None:
        text = self._lines.orders.get(order)
        if text is None:
            raise NotApplicableError(f"{self._process.name} takes no order to {order}")
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        self._process.say(text)

    def close(self) -> None:
        pass
