"""One TCP connection of an agent (RFC 9293), from one of its ends.

The rules of this file:

- A connection is known by its two endpoints. Data is written in *pieces*, each of which begins a segment of
  its own; a piece longer than the peer's MSS goes in several. Nagle's algorithm is off.
- Arrived data is acknowledged at once, by a segment that is sent at the same moment, or else by a bare ACK.
- MSS is the only option; the window is constant; there is no congestion control, no RTT measurement and no
  probing of the path's MTU (DF is not set). The retransmission timer begins with 1 second (RFC 6298) and
  backs off; if nobody acknowledges within R2 (RFC 9293 section 3.8.3), the connection fails.
- Positions are growing integers; they become 32-bit numbers only on the wire.
- An unacceptable segment without data is answered at most once in half a second. Else two ends that
  disagree about their numbers would acknowledge each other for ever (RFC 5961 sections 5.1 and 7).
"""

from __future__ import annotations

import random
import struct
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from siplab.lab.sip.timers import Timer, Timers
from siplab.lab.wire import ip
from siplab.lab.wire.ip import ACK, FIN, PSH, RST, SYN, Endpoint, Packet
from siplab.lab.wire.tcp_segment import IP_AND_TCP_HEADERS, Opening, near, reset, window_of

RTO: Final = 1.0  # seconds, before it backs off (RFC 6298 section 2.1)
MAX_RTO: Final = 60.0  # RFC 6298 section 2.5
R2: Final = 100.0  # seconds without an answer, after which a connection fails
R2_SYN: Final = 180.0  # the same while it is being opened
TIME_WAIT: Final = 240.0  # seconds: 2 MSL (RFC 9293 section 3.4.2)
WINDOW: Final = 65535
ANSWER_INTERVAL: Final = 0.5  # seconds between answers to unacceptable segments
_MAX_WAITING: Final = 64  # segments ahead of a gap


class State(StrEnum):
    """States of RFC 9293 figure 5; a closed connection is forgotten."""

    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"
    CLOSED = "CLOSED"


OPENING: Final = frozenset({State.SYN_SENT, State.SYN_RECEIVED})
SENDING: Final = frozenset({State.ESTABLISHED, State.CLOSE_WAIT})
_RECEIVING: Final = frozenset({State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2})


class _Chunk(NamedTuple):
    """What one segment carries, from position ``begin`` on."""

    begin: int
    data: bytes
    flags: int

    @property
    def end(self) -> int:
        return self.begin + len(self.data) + bool(self.flags & (SYN | FIN))


class TcpUser(Protocol):
    """The owner of a ``TcpStack``."""

    def on_bytes(self, connection: Connection, data: bytes, now: float) -> None:
        """Bytes arrived, in order."""

    def on_end(self, connection: Connection, reason: str, now: float) -> None:
        """The connection can't be used any more: reset, timed out, or closed by the other side."""

    def emit(self, local: Endpoint, remote: Endpoint, packet: bytes) -> None:
        """Put a segment on the wire."""


@dataclass(frozen=True, slots=True)
class TcpConfig:
    """``mtu``: of the host's link, in bytes. ``cork``: seconds for which written data waits for more."""

    mtu: int = ip.DEFAULT_MTU
    cork: float = 0.0


class Stack(Protocol):
    """What a connection uses of the stack that it belongs to."""

    user: TcpUser
    timers: Timers
    rng: random.Random
    config: TcpConfig

    def forget(self, connection: Connection) -> None: ...


class Connection:
    """One connection, from one of its ends. ``retransmitted`` counts segments sent again."""

    def __init__(self, stack: Stack, local: Endpoint, remote: Endpoint, state: State) -> None:
        self.local = local
        self.remote = remote
        self.state = state
        self.retransmitted = 0
        self._stack = stack
        self._mss = self._own_mss = stack.config.mtu - IP_AND_TCP_HEADERS[6 if ":" in local.ip else 4]
        start = stack.rng.getrandbits(32)
        self._unacknowledged = self._next = start  # SND.UNA, SND.NXT
        self._window = WINDOW  # SND.WND
        self._expected = 0  # RCV.NXT
        self._pieces: deque[bytes] = deque()  # written, not sent
        self._wants_close = False
        self._chunks: deque[_Chunk] = deque()  # sent, not acknowledged
        self._ahead: dict[int, tuple[bytes, bool]] = {}  # position -> data that came ahead of a gap, FIN
        self._owes_ack = False
        self._answered_at = float("-inf")
        self._timer: Timer | None = None
        self._interval = RTO
        self._waiting_since = 0.0
        self._cork: Timer | None = None

    # -- what the owner does -------------------------------------------------------------------

    def open(self, now: float) -> None:
        """Send the SYN."""
        self._send_chunk(_Chunk(self._next, b"", SYN), now)

    def write(self, pieces: Iterable[bytes], now: float) -> None:
        """Send ``pieces``, as soon as that is possible; nothing after ``close``."""
        pieces = [each for each in pieces if each]
        if not pieces or self._wants_close or self.state is State.CLOSED:
            return
        if not self._stack.config.cork:
            self._pieces.extend(pieces)
            self._push(now)
            return
        self._pieces = deque([b"".join([*self._pieces, *pieces])])
        if self._cork is None:
            self._cork = self._stack.timers.start(now + self._stack.config.cork, self._uncork)

    def close(self, now: float) -> None:
        """Send a FIN after the data that was written."""
        if not self._wants_close:
            self._wants_close = True
            self._uncork(None, now)

    def abort(self, reason: str, now: float) -> None:
        """Send an RST and forget the connection."""
        self._emit(self._next, RST | ACK, b"")
        self._end(reason, now)

    # -- sending -------------------------------------------------------------------------------

    def _uncork(self, _: object, now: float) -> None:
        if self._cork is not None:
            self._cork.cancel()
            self._cork = None
        self._push(now)

    def _push(self, now: float) -> None:
        """Send as much of the written data as the peer's window takes, and then the FIN."""
        if self.state not in SENDING or self._cork is not None:
            return
        while self._pieces:
            piece = self._pieces[0]
            room = self._unacknowledged + self._window - self._next
            data = piece[: min(self._mss, room)] if room > 0 else b""
            # If the window takes no whole segment, wait for it, as long as something is unacknowledged.
            if not data or (len(data) < min(self._mss, len(piece)) and self._chunks):
                if self._chunks:
                    return
                data = piece[:1]  # a window probe (RFC 9293 section 3.8.6.1)
            if len(data) == len(piece):
                self._pieces.popleft()
            else:
                self._pieces[0] = piece[len(data) :]
            self._send_chunk(_Chunk(self._next, data, PSH), now)
        if self._wants_close:
            self.state = State.LAST_ACK if self.state is State.CLOSE_WAIT else State.FIN_WAIT_1
            self._send_chunk(_Chunk(self._next, b"", FIN), now)

    def _send_chunk(self, chunk: _Chunk, now: float) -> None:
        if not self._chunks:
            self._waiting_since, self._interval = now, RTO
        self._chunks.append(chunk)
        self._next = chunk.end
        self._emit_chunk(chunk)
        if self._timer is None:
            self._timer = self._stack.timers.start(now + self._interval, self._on_timer)

    def _emit_chunk(self, chunk: _Chunk) -> None:
        ack = 0 if self.state is State.SYN_SENT else ACK
        self._emit(chunk.begin, chunk.flags | ack, chunk.data)

    def _emit(self, position: int, flags: int, data: bytes) -> None:
        options = struct.pack("!BBH", 2, 4, self._own_mss) if flags & SYN else b""
        packet = ip.tcp(
            self.local,
            self.remote,
            data,
            seq=position,
            ack=self._expected if flags & ACK else 0,
            flags=flags,
            window=WINDOW,
            options=options,
            dont_fragment=False,
        )
        if flags & ACK:
            self._owes_ack = False
        self._stack.user.emit(self.local, self.remote, packet)

    def settle(self) -> None:
        """Acknowledge data that has arrived, if no segment sent since has done so."""
        if self._owes_ack and self.state is not State.CLOSED:
            self._emit(self._next, ACK, b"")

    def _on_timer(self, _: object, now: float) -> None:
        self._timer = None
        if self.state is State.TIME_WAIT:
            self.forget()
            return
        if not self._chunks:
            return
        limit = R2_SYN if self.state in OPENING else R2
        if now - self._waiting_since >= limit:
            self._end("no answer", now)
            return
        for chunk in self._chunks:
            self.retransmitted += 1
            self._emit_chunk(chunk)
        self._interval = min(2 * self._interval, MAX_RTO)
        self._timer = self._stack.timers.start(now + self._interval, self._on_timer)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- receiving -----------------------------------------------------------------------------

    def receive(self, packet: Packet, now: float) -> None:
        """A sound segment of this connection (RFC 9293 section 3.10.7)."""
        if self.state is State.SYN_SENT:
            self._opened(packet, now)
            return
        begin = near(packet.seq, self._expected)
        end = begin + len(packet.payload) + bool(packet.flags & FIN)
        if packet.flags & RST:
            if begin == self._expected:
                self._end("reset by the other side", now)
            elif self._expected < begin < self._expected + WINDOW:
                self._object(packet, now)  # RFC 5961 section 3.2
            return
        if packet.flags & SYN:
            if self.state is not State.SYN_RECEIVED or begin != self._expected - 1:
                self._object(packet, now)  # RFC 5961 section 4.2
            elif not packet.flags & ACK:
                self._emit_chunk(self._chunks[0])
            elif self._acknowledged(packet, now):  # both sides have opened at the same time
                self._owes_ack = True
            return
        if not self._expected - WINDOW < begin < self._expected + WINDOW or (
            end <= self._expected and begin != self._expected
        ):
            self._object(packet, now)
            return
        if packet.flags & ACK and self._acknowledged(packet, now) and self.state is not State.CLOSED:
            self._take(begin, packet.payload, bool(packet.flags & FIN), now)

    def _opened(self, packet: Packet, now: float) -> None:
        """In SYN-SENT (RFC 9293 section 3.10.7.3)."""
        acknowledges = bool(packet.flags & ACK)
        if acknowledges and near(packet.ack, self._next) != self._next:
            answer = reset(packet)
            if answer is not None:
                self._stack.user.emit(self.local, self.remote, answer)
            return
        if packet.flags & RST:
            if acknowledges:
                self._end("refused", now)
            return
        if not packet.flags & SYN:
            return
        self._learn(packet)
        if acknowledges:
            self._owes_ack = True
            self.state = State.ESTABLISHED
            self._advance(self._next, now)
            self._push(now)
        else:  # both sides open at the same time
            self.state = State.SYN_RECEIVED
            self._emit_chunk(self._chunks[0])

    def accept(self, packet: Packet, now: float) -> None:
        """Take the SYN that this connection was made for."""
        self._learn(packet)
        self._send_chunk(_Chunk(self._next, b"", SYN), now)

    def _learn(self, packet: Packet) -> None:
        opening = Opening.read(packet)
        self._mss = min(self._own_mss, opening.mss)
        self._window = opening.window
        self._expected = opening.isn + 1

    def _acknowledged(self, packet: Packet, now: float) -> bool:
        """Take the segment's ACK; returns whether the rest of the segment counts."""
        ack = near(packet.ack, self._unacknowledged)
        if ack > self._next:
            if self.state is State.SYN_RECEIVED:
                answer = reset(packet)
                if answer is not None:
                    self._stack.user.emit(self.local, self.remote, answer)
            else:
                self._object(packet, now)  # an ACK of data that was never sent
            return False
        if self.state is State.SYN_RECEIVED and ack > self._unacknowledged:
            self.state = State.ESTABLISHED
        if ack >= self._unacknowledged:
            self._window = window_of(packet)
        if ack > self._unacknowledged:
            self._advance(ack, now)
        self._push(now)
        return True

    def _advance(self, ack: int, now: float) -> None:
        self._unacknowledged = ack
        while self._chunks and self._chunks[0].end <= ack:
            self._chunks.popleft()
        if self._chunks and self._chunks[0].begin < ack and self._chunks[0].data:
            first = self._chunks[0]
            self._chunks[0] = _Chunk(ack, first.data[ack - first.begin :], first.flags)
        self._stop_timer()
        self._waiting_since, self._interval = now, RTO
        if self._chunks:
            self._timer = self._stack.timers.start(now + RTO, self._on_timer)
        elif self._wants_close and not self._pieces:
            self._fin_acknowledged(now)

    def _fin_acknowledged(self, now: float) -> None:
        if self.state is State.FIN_WAIT_1:
            self.state = State.FIN_WAIT_2
        elif self.state is State.CLOSING:
            self._wait(now)
        elif self.state is State.LAST_ACK:
            self.forget()

    def _take(self, begin: int, payload: bytes, fin: bool, now: float) -> None:
        """Put a segment's bytes where they belong, and pass on those that are in order."""
        if not payload and not fin:
            return
        self._owes_ack = True
        if self.state not in _RECEIVING:
            return
        if len(self._ahead) < _MAX_WAITING or begin <= self._expected:
            self._ahead[begin] = max(self._ahead.get(begin, (b"", False)), (payload, fin), key=_size)
        while (at := min(self._ahead, default=None)) is not None and at <= self._expected:
            data, last = self._ahead.pop(at)
            if at + len(data) + last <= self._expected:
                continue
            fresh = data[self._expected - at :]
            self._expected += len(fresh) + last
            if fresh:
                self._stack.user.on_bytes(self, fresh, now)
            if last:
                self._ahead.clear()
                self._ended(now)
        self.settle()

    def _ended(self, now: float) -> None:
        """The other side has sent its FIN; send ours, if that is still to do."""
        if self.state is State.ESTABLISHED:
            self.state = State.CLOSE_WAIT
            self._stack.user.on_end(self, "closed by the other side", now)
            self.close(now)
        elif self.state is State.FIN_WAIT_1:
            self.state = State.CLOSING
        elif self.state is State.FIN_WAIT_2:
            self._wait(now)

    def _object(self, packet: Packet, now: float) -> None:
        """Answer an unacceptable segment with an ACK that says what we expect."""
        if not packet.payload and now - self._answered_at < ANSWER_INTERVAL:
            return
        self._answered_at = now
        self._emit(self._next, ACK, b"")

    # -- the end -------------------------------------------------------------------------------

    def _wait(self, now: float) -> None:
        self.state = State.TIME_WAIT
        self._stop_timer()
        self._timer = self._stack.timers.start(now + TIME_WAIT, self._on_timer)

    def _end(self, reason: str, now: float) -> None:
        useful = self.state in SENDING or self.state in OPENING
        self.forget()
        if useful:
            self._stack.user.on_end(self, reason, now)

    def forget(self) -> None:
        """Stop its timers and take it out of the stack, without sending anything."""
        self.state = State.CLOSED
        self._stop_timer()
        if self._cork is not None:
            self._cork.cancel()
        self._stack.forget(self)


def _size(row: tuple[bytes, bool]) -> int:
    return len(row[0]) + row[1]
