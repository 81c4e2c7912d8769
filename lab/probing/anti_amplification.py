"""Who gets answers from a public server, and how many: cookies, buckets and accounts, sans-IO.

A server on the internet gets datagrams whose source addresses may be forged. The rules of this file:

- A *cookie* is sent to the address that asks, in fewer bytes than the request has. A client that returns the
  cookie proves that it receives at that address (as in RFC 9000 section 8.1, or RFC 6347 section 4.2.1). The
  server stores nothing for this.
- An *account* belongs to an address that has returned its cookie. Each byte from there credits it with a
  number of bytes, and each answer is charged to it. The number of accounts is limited; the one unused for
  longest is removed first.
- *Buckets* limit how often something happens, per source, in a table of fixed size. Two sources may share a
  row, and no flood of forged sources makes the table grow.
- Whoever has one IPv6 address has its whole /64, so limits per source count each /64 as one source
  (``network_of``). Only a cookie belongs to one address, since it proves that one.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from siplab.lab.sip.base import Action, Agent, Send
from siplab.lab.wire.ip import Endpoint, pack_ip

HELLO: Final = b"\x00alh1"
COOKIE: Final = b"\x00alc1"
ADMIT: Final = b"\x00ala1"
_SIZE: Final = 8  # bytes of a cookie
_HELLO_BYTES: Final = 32
_LIFETIME: Final = 600.0  # seconds, at least, for which a cookie is valid
_RENEWAL: Final = 200.0  # seconds after which a client asks for a new one


def network_of(ip: str) -> bytes:
    """The source that limits count: an IPv4 address, or the /64 of an IPv6 address."""
    return pack_ip(ip)[:8]


class Cookies:
    """Makes and verifies cookies. ``secret``: bytes that nobody else knows."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, ip: str, now: float) -> bytes:
        """The cookie of an address at this time."""
        return self._of(ip, int(now // _LIFETIME))

    def is_valid(self, cookie: bytes, ip: str, now: float) -> bool:
        """Whether a cookie was made for that address a short time ago."""
        age = int(now // _LIFETIME)
        return any(hmac.compare_digest(cookie, self._of(ip, each)) for each in (age, age - 1))

    def _of(self, ip: str, age: int) -> bytes:
        text = f"{age} {ip}".encode()
        return hashlib.blake2b(text, key=self._secret, digest_size=_SIZE).digest()


def answer_hello(payload: bytes, cookie: bytes) -> bytes | None:
    """The answer to a hello; ``None`` if the hello is too short for an answer."""
    return COOKIE + cookie if len(payload) >= _HELLO_BYTES else None


def opened(payload: bytes) -> tuple[bytes, bytes] | None:
    """A datagram's cookie and its content; ``None`` if it has no cookie."""
    start = len(ADMIT) + _SIZE
    if payload[: len(ADMIT)] != ADMIT or len(payload) <= start:
        return None
    return payload[len(ADMIT) : start], payload[start:]


class Buckets:
    """How often something may happen per source: ``rate`` a second, ``burst`` at once."""

    def __init__(self, rate: float, burst: float, secret: bytes, rows: int = 4096) -> None:
        self._rate, self._burst, self._secret = rate, burst, secret
        self._rows = [(burst, 0.0)] * rows

    def take(self, ip: str, now: float, amount: float = 1.0) -> bool:
        """Take ``amount`` from the source's bucket; returns whether there was enough."""
        row = self._row(ip)
        level, last = self._rows[row]
        level = min(self._burst, level + (now - last) * self._rate)
        enough = level >= amount
        self._rows[row] = (level - amount if enough else level, now)
        return enough

    def _row(self, ip: str) -> int:
        if len(self._rows) == 1:
            return 0
        hashed = hashlib.blake2b(network_of(ip), key=self._secret, digest_size=4).digest()
        return int.from_bytes(hashed, "big") % len(self._rows)


@dataclass
class Account:
    """How many bytes may still be sent to a source, and when it was last heard of, in seconds."""

    credit: float = 0.0
    last: float = 0.0


@dataclass
class Accounts:
    """The accounts of sources that have returned their cookies.

    ``factor``: bytes of answers per byte received. ``most``: bytes that an account can hold. ``size``: the
    most accounts. ``lifetime``: seconds of silence after which an account is closed.
    """

    factor: float = 10.0
    most: float = 256 * 1024
    size: int = 1024
    lifetime: float = _LIFETIME
    _rows: OrderedDict[bytes, Account] = field(default_factory=OrderedDict)

    def open(self, ip: str, now: float) -> None:
        """An address has returned its cookie."""
        source = network_of(ip)
        row = self._rows.setdefault(source, Account())
        row.last = now
        self._rows.move_to_end(source)
        while len(self._rows) > self.size:
            self._rows.popitem(last=False)

    def hear(self, ip: str, size: int, now: float) -> bool:
        """So many bytes came from an address; returns whether it has an account."""
        source = network_of(ip)
        row = self._rows.get(source)
        if row is None:
            return False
        if now - row.last > self.lifetime:
            del self._rows[source]
            return False
        row.last = now
        row.credit = min(self.most, row.credit + self.factor * size)
        self._rows.move_to_end(source)
        return True

    def charge(self, ip: str, size: int) -> bool:
        """Charge an answer; returns whether the account had enough."""
        row = self._rows.get(network_of(ip))
        if row is None or row.credit < size:
            return False
        row.credit -= size
        return True

    def __contains__(self, ip: str) -> bool:
        return network_of(ip) in self._rows

    def __len__(self) -> int:
        return len(self._rows)


class Visitor(Agent):
    """A client of such a server, around an agent that knows nothing of cookies.

    What the agent sends to ``control`` waits for the cookie, and is sent with it. The agent repeats
    unanswered requests, so a lost hello is repeated too. An old cookie is renewed.
    """

    def __init__(self, agent: Agent, control: Endpoint, hellos: int = 6) -> None:
        super().__init__()
        self.agent = agent
        self.control = control
        self.cookie = b""
        self.refused = False  # no hello was answered
        self._hellos = hellos
        self._said = 0
        self._asked_at = 0.0  # when it last sent a hello
        self._held: list[Send] = []

    def start(self, now: float) -> list[Action]:
        return self._outgoing(self.agent.start(now), now)

    def next_timer(self) -> float | None:
        return None if self.refused else self.agent.next_timer()

    def on_timer(self, now: float) -> list[Action]:
        self._held = []  # the agent repeats every request that is still open
        return self._outgoing(self.agent.on_timer(now), now)

    def on_unreachable(self, remote: Endpoint, local: Endpoint, now: float) -> list[Action]:
        return self._outgoing(self.agent.on_unreachable(remote, local, now), now)

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if source == self.control and payload[: len(COOKIE)] == COOKIE:
            if len(payload) != len(COOKIE) + _SIZE or not self._said:
                return []
            self.cookie = payload[len(COOKIE) :]
            self._said = 0
            held, self._held = self._held, []
            return self._outgoing(list(held), now)
        return self._outgoing(self.agent.receive(payload, source, local, now), now)

    def _outgoing(self, actions: list[Action], now: float) -> list[Action]:
        out: list[Action] = []
        greeted = False
        for each in actions:
            if not isinstance(each, Send) or each.remote != self.control:
                out.append(each)
            elif self.cookie:
                out.append(Send(each.local, each.remote, ADMIT + self.cookie + each.payload, each.ttl))
                if now - self._asked_at > _RENEWAL:
                    self._said = 1
                    out.append(self._hello(each, now))
            else:
                self._held.append(each)
                if not greeted:
                    greeted = True
                    self._said += 1
                    self.refused = self._said > self._hellos
                    if not self.refused:
                        out.append(self._hello(each, now))
        return out

    def _hello(self, instead: Send, now: float) -> Send:
        self._asked_at = now
        return Send(instead.local, instead.remote, HELLO.ljust(_HELLO_BYTES, b"\0"))
