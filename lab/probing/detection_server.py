"""The detection server for a public machine: the reflector and similar services, with admission control.

The rules of this file:

- An unrecognised datagram gets no answer and is only counted. To recognise one costs a look at its first
  bytes or one search for a mark, in at most ``LARGEST`` bytes.
- *No amplifier*: an answer to an address that has not returned its cookie (see ``anti_amplification``) has at
  most as many bytes as the request. An address that has returned it gets at most ten bytes for each that it
  sends. The two public clients can't prove their address: they get at most three (the limit of RFC 9000
  section 8.1), seldom, and nothing with ``public_clients`` off.
- *No relay*: answers go only to where the datagram came from. What a client's script makes the server send
  (``script_desk``) goes to the client's own address, and is charged to its account.
- *Bounded*: the numbers of sessions, accounts, buckets, waiting orders and connections are limited.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from siplab.lab.probing import public_clients, stream_mirror
from siplab.lab.probing.anti_amplification import (
    HELLO,
    Accounts,
    Buckets,
    Cookies,
    answer_hello,
    network_of,
    opened,
)
from siplab.lab.probing.probe_wire import unpack
from siplab.lab.probing.reflector import CONTROL_PORT, RTP_PORT, Limits, Reflector
from siplab.lab.probing.script_desk import STEP, ScriptDesk
from siplab.lab.sip.base import Action, Agent, Send
from siplab.lab.sip.timers import Timers
from siplab.lab.wire.ip import Endpoint

LARGEST: Final = 4096  # bytes of a datagram that is examined, or of a message in a stream
PUBLIC: Final = Limits(
    sessions=64,
    per_source=8,
    orders=128,
    order_length=8,
    records=512,
    record_bytes=256 * 1024,
    text=32 * 1024,
    wait=120.0,
    waiting=256,
    waiting_each=32,
    peers=8,
)
_KEEPALIVE: Final = b"\r\n\r\n"
_MOST_SEEN: Final = 1024
_MOST_DELAYED: Final = 256
_DELAYED_EACH: Final = 4  # per source
_PUBLIC_FACTOR: Final = 3
_MESSAGES: Final = 32  # per connection


@dataclass(frozen=True)
class Rates:
    """Limits of datagrams that are handled, as (per second, at once), per source and in total.

    ``hello``: cookies that are sent. ``known``: datagrams from clients with cookies; ``unmarked``: those of
    them without a probe's mark. ``public``: requests of the public clients. ``bytes``: bytes of all answers.
    """

    hello: tuple[float, float] = (5.0, 20.0)
    hello_total: tuple[float, float] = (500.0, 1000.0)
    known: tuple[float, float] = (200.0, 1000.0)
    known_total: tuple[float, float] = (3000.0, 6000.0)
    unmarked: tuple[float, float] = (20.0, 100.0)
    public: tuple[float, float] = (2.0, 20.0)
    public_total: tuple[float, float] = (50.0, 200.0)
    bytes: tuple[float, float] = (2_000_000.0, 8_000_000.0)


class _Rate:
    """Limits per source and in total."""

    def __init__(self, each: tuple[float, float], total: tuple[float, float], secret: bytes) -> None:
        self._each = Buckets(*each, secret)
        self._total = Buckets(*total, secret, rows=1)

    def take(self, ip: str, now: float) -> bool:
        return self._each.take(ip, now) and self._total.take("", now)


@dataclass(frozen=True)
class _Late:
    """Delayed answers, their receiver's network, and how many bytes they may have."""

    actions: list[Action]
    network: bytes
    worth: int


class DetectionServer(Agent):
    """``ports``: of SIP. ``secret``: random bytes. ``ip``: where it listens; ``0.0.0.0`` for every address.

    ``counts``: what became of all datagrams, how many by a word for each kind.
    """

    def __init__(
        self,
        ip: str,
        ports: Sequence[int],
        secret: bytes,
        *,
        control: int = CONTROL_PORT,
        public: bool = True,
        rates: Rates = Rates(),
    ) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self._reflector = Reflector(ip, ports, control, PUBLIC)
        self._scripts = ScriptDesk((*ports, RTP_PORT))
        self._control = control
        self._cookies = Cookies(secret)
        self._accounts = Accounts()
        self._public = public
        self._hello = _Rate(rates.hello, rates.hello_total, secret)
        self._known = _Rate(rates.known, rates.known_total, secret)
        self._unmarked = _Rate(rates.unmarked, rates.known_total, secret)
        self._strangers = _Rate(rates.public, rates.public_total, secret)
        self._bytes = Buckets(*rates.bytes, secret, rows=1)
        self._seen: OrderedDict[bytes, float] = OrderedDict()
        self._timers = Timers()
        self._delayed: Counter[bytes] = Counter()  # answers, by their receiver's network
        self._late: list[Action] = []

    @property
    def tables(self) -> dict[str, int]:
        """The number of entries in its tables, for logs."""
        return {
            "accounts": len(self._accounts),
            "sessions": self._reflector.sessions,
            "scripts": len(self._scripts),
            "seen": len(self._seen),
            "delayed": self._delayed.total(),
        }

    def start(self, now: float) -> list[Action]:
        return self._reflector.start(now)

    def next_timer(self) -> float | None:
        dues = [each for each in (self._reflector.next_timer(), self._timers.next()) if each is not None]
        return min(dues) if dues else None

    def on_timer(self, now: float) -> list[Action]:
        actions = self._settle(self._reflector.on_timer(now), None, now)
        self._timers.run(now)
        late, self._late = self._late, []
        return [*actions, *late]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if len(payload) > LARGEST or not source.port:
            return self._drop("too long")
        if local.port == self._control:
            return self._converse(payload, source, local, now)
        if payload[:1].isalpha() and self._public:
            if public_clients.is_mirror_request(payload):
                return self._mirror(payload, source, local, now)
            if public_clients.is_hidden_source_request(payload):
                return self._hidden_source(payload, source, local, now)
        known = self._accounts.hear(source.ip, len(payload), now)
        client = self._reflector.client_of(payload)
        if client is None and known and self._scripts.knows(source.ip, now):
            if not self._known.take(source.ip, now):
                return self._drop("too often")
            self.counts["packets of scripts"] += 1
            self._scripts.hear(payload, source, local)
            return []
        if client is not None or self._reflector.knows_source(source):
            if not (self._unmarked if client is None else self._known).take(source.ip, now):
                return self._drop("too often")
            self.counts["probes"] += 1
            # A source other than the client that announced the probe, or one without an account, gets no more
            # bytes than this datagram has. So nobody can use up a client's account by forging its address.
            # worth: nobody can have answers sent at a client's expense by writing its address.
            worth = None if known and client in (None, source.ip) else len(payload)
            return self._settle(self._reflector.receive(payload, source, local, now), worth, now)
        seen = payload == _KEEPALIVE and network_of(source.ip) in self._seen
        if seen and self._strangers.take(source.ip, now):
            return self._settle([Send(local, source, b"\r\n")], len(payload), now)
        return self._drop("no probe")

    def _drop(self, why: str) -> list[Action]:
        self.counts[why] += 1
        return []

    # -- clients of the lab's own ---------------------------------------------------------------------

    def _converse(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if payload[: len(HELLO)] == HELLO:
            answer = answer_hello(payload, self._cookies.make(source.ip, now))
            if answer is None:
                return self._drop("no probe")
            if not self._hello.take(source.ip, now):
                return self._drop("too often")
            self.counts["hellos"] += 1
            return self._settle([Send(local, source, answer)], len(payload), now)
        brought = opened(payload)
        if brought is None:
            return self._drop("no probe")
        if not self._cookies.is_valid(brought[0], source.ip, now):
            return self._drop("wrong cookie")
        if not self._known.take(source.ip, now):
            return self._drop("too often")
        if source.ip not in self._accounts:
            self.counts["clients"] += 1
        self._accounts.open(source.ip, now)
        self._accounts.hear(source.ip, len(payload), now)
        self.counts["questions"] += 1
        asked = unpack(brought[1], PUBLIC.text)
        if asked is not None and asked.get("t") == STEP:
            return self._settle(self._scripts.converse(asked, source, local, now), None, now)
        return self._settle(self._reflector.receive(brought[1], source, local, now), None, now)

    # -- the public clients -----------------------------------------------------------------------------

    def _mirror(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if not self._strangers.take(source.ip, now):
            return self._drop("too often")
        self._see(source, now)
        answers = public_clients.mirror_answers(payload, source, local)
        actions: list[Action] = [Send(local, source, each) for each in answers]
        return self._settle(actions, _PUBLIC_FACTOR * len(payload), now)

    def _hidden_source(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if not self._strangers.take(source.ip, now):
            return self._drop("too often")
        answer = public_clients.hidden_source_answer(payload, source, local)
        if answer is None:
            return self._drop("no probe")
        self._see(source, now)
        wire, delay = answer
        actions: list[Action] = [Send(local, source, wire)]
        if not delay:
            return self._settle(actions, _PUBLIC_FACTOR * len(payload), now)
        network = network_of(source.ip)
        full = self._delayed.total() >= _MOST_DELAYED or self._delayed[network] >= _DELAYED_EACH
        if full or len(wire) > _PUBLIC_FACTOR * len(payload):
            return self._drop("too often")
        self._delayed[network] += 1
        self._timers.start(now + delay, self._send_late, _Late(actions, network, len(wire)))
        return []

    def _send_late(self, late: _Late, now: float) -> None:
        self._delayed[late.network] -= 1
        if not self._delayed[late.network]:
            del self._delayed[late.network]
        self._late += self._settle(late.actions, late.worth, now)

    def _see(self, source: Endpoint, now: float) -> None:
        """Remember a source for its keep-alives. Logs get only numbers, and not the address."""
        network = network_of(source.ip)
        self.counts["public clients"] += network not in self._seen
        self.counts["requests of public clients"] += 1
        self._seen[network] = now
        self._seen.move_to_end(network)
        while len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)

    # -- what leaves -------------------------------------------------------------------------------------

    def _settle(self, actions: Sequence[Action], worth: int | None, now: float) -> list[Action]:
        """The answers that may be sent: ``worth`` bytes in all, or with ``None`` what the account covers."""
        allowed: list[Action] = []
        for each in actions:
            if not isinstance(each, Send):
                continue
            size = len(each.payload)
            paid = self._accounts.charge(each.remote.ip, size) if worth is None else size <= worth
            if not paid or not self._bytes.take("", now, size):
                self.counts["answers withheld"] += 1
                continue
            if worth is not None:
                worth -= size
            allowed.append(each)
            self.counts["answers"] += 1
            self.counts["bytes answered"] += size
        return allowed

    # -- streams -----------------------------------------------------------------------------------------

    def connection(self, source: Endpoint, local: Endpoint) -> StreamSession:
        """The handler of one connection, whose source is proven by the handshake."""
        return StreamSession(self, source, local)

    def may_answer_stream(self, ip: str, now: float) -> bool:
        """Whether one more message of a stream may be handled."""
        return self._known.take(ip, now)

    def with_public_clients(self) -> bool:
        """Whether the public clients are served."""
        return self._public


class StreamSession:
    """One TCP or TLS connection: bytes in, bytes out. ``over``: close it when everything is sent."""

    def __init__(self, server: DetectionServer, source: Endpoint, local: Endpoint) -> None:
        self._server = server
        self._source, self._local = source, local
        self._buffer = b""
        self._left = _MESSAGES
        self.over = False

    def feed(self, data: bytes, now: float) -> bytes:
        """Bytes arrived; returns those of the answer."""
        self._buffer += data
        out = b""
        while not self.over:
            wire, self._buffer = stream_mirror.next_message(self._buffer)
            if not wire:
                break
            out += self._answer(wire, now)
        if len(self._buffer) > LARGEST:
            self.over = True
        if self.over:
            self._buffer = b""
        return out

    def _answer(self, wire: bytes, now: float) -> bytes:
        counts = self._server.counts
        self._left -= 1
        if len(wire) > LARGEST or self._left < 0 or not self._server.may_answer_stream(self._source.ip, now):
            counts["too often"] += 1
            self.over = True
            return b""
        if self._server.with_public_clients() and public_clients.is_mirror_request(wire):
            counts["requests of public clients"] += 1
            return b"".join(public_clients.mirror_answers(wire, self._source, self._local))
        if stream_mirror.is_probe(wire):
            counts["probes"] += 1
            return stream_mirror.mirrored(wire, self._source, self._local)
        counts["no probe"] += 1
        self.over = True
        return b""
