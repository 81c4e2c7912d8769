"""The reports on one stream of a call: RTCP after RFC 3550 section 6.

The rules of this file:

- A report is sent every 5 s on average; the interval is drawn between 0.5 and 1.5 times that (section 6.3.1).
  The first one comes after half the time, and a BYE at the end.
- Reports go from the port above the media port to the other side's: its next port, or the one in its
  ``a=rtcp`` (RFC 3605). They use the media ports if both sides have ``a=rtcp-mux`` (RFC 5761).
- A phone that had to send media back to where they came from (see ``latch_after``) does so with reports too.
  One whose media go where the description says sends its reports there as well.
- NTP times count from the start of the trial (section 6.4.1: a sender may use the time elapsed).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from siplab.lab.media.attributes import rtcp_port
from siplab.lab.media.interfaces import MediaCall
from siplab.lab.media.rtp_sender import PACES
from siplab.lab.media.session import Kind
from siplab.lab.sip.base import Train
from siplab.lab.sip.timers import Timer
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.rtcp import Compound, ReportBlock, SenderInfo, pack_rtcp, unpack_rtcp
from siplab.lab.wire.rtp import RtpHeader

Rtcp = Literal["", "next-port", "announced", "mux"]
"""Whether there are reports, and where. Empty: none. ``next-port``: at the port above the media's.
``announced``: the same, and ``a=rtcp`` says so. ``mux``: on the media's own port, if the other side agrees.
"""

INTERVAL: Final = 5.0  # seconds (RFC 3550 section 6.2)
_COMPENSATION: Final = 1.21828  # e - 3/2 (section 6.3.1)
_CLOCK: Final[dict[Kind, int]] = {"audio": 8000, "video": 90000}  # timestamp units per second


class Jitter:
    """The interarrival jitter of one source, in timestamp units, as RFC 3550 A.8 has it in integers."""

    def __init__(self, clock: int) -> None:
        self._clock = clock
        self._transit: int | None = None
        self._scaled = 0  # by 16

    @property
    def value(self) -> int:
        return self._scaled >> 4

    def packet(self, timestamp: int, now: float) -> None:
        """A packet arrived at ``now``, in seconds."""
        transit = (round(now * self._clock) - timestamp) & 0xFFFFFFFF
        if self._transit is not None:
            away = (transit - self._transit + 0x80000000) % 0x100000000 - 0x80000000
            self._scaled += abs(away) - ((self._scaled + 8) >> 4)
        self._transit = transit

    def even(self, count: int) -> None:
        """``count`` more packets arrived, as evenly as they were sent."""
        for _ in range(count):
            step = (self._scaled + 8) >> 4
            if not step:
                return
            self._scaled -= step


class Reporter:
    """The reports on one stream. ``sent`` and ``received`` count datagrams.

    ``reported`` is the other side's latest report block on our stream, ``None`` while there is none;
    ``cname`` its name; ``left`` whether it has sent a BYE.
    """

    def __init__(self, call: MediaCall, kind: Kind, sealed: Callable[[bytes], bytes]) -> None:
        self._call = call
        self._kind = kind
        self._sealed = sealed  # a report as it goes on the wire
        self._timer: Timer | None = None
        self._jitter: dict[int, Jitter] = {}
        self._prior: dict[int, tuple[int, int]] = {}  # SSRC -> expected and received at the last report
        self._counts = [0, 0]  # packets sent, at the two reports before
        self._source: Endpoint | None = None  # of the latest report that came
        self._last_sr: dict[int, tuple[int, float]] = {}
        self.sent = 0
        self.received = 0
        self.reported: ReportBlock | None = None
        self.cname = b""
        self.left = False

    @property
    def multiplexed(self) -> bool:
        """Whether reports share the media's port."""
        stream = self._call.session.stream(self._kind)
        return stream is not None and stream.said.mux and self._call.phone.config.rtcp == "mux"

    @property
    def local(self) -> Endpoint:
        """Where reports are sent from."""
        port = self._call.ports[self._kind]
        return Endpoint(self._call.phone.config.ip, port if self.multiplexed else rtcp_port(port))

    @property
    def remote(self) -> Endpoint | None:
        """Where reports go; ``None`` for nowhere."""
        call, stream = self._call, self._call.session.stream(self._kind)
        sender = call.senders.get(self._kind)
        if stream is None or stream.remote is None or sender is None:
            return None
        latched = sender.peer is not None and sender.peer != stream.remote
        if self.multiplexed:
            return sender.peer or stream.remote
        return self._source if latched and self._source is not None else stream.said.rtcp

    # -- sending -------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Start reporting, if not done yet: there is a stream now."""
        if self._timer is None:
            self._wait(now, 0.5)

    def stop(self, now: float) -> None:
        """The call is over: send a BYE."""
        if self._timer is not None:
            self._timer.cancel()
            self._send(now, bye=True)

    def _wait(self, now: float, share: float) -> None:
        phone = self._call.phone
        pause = share * INTERVAL * phone.rng.uniform(0.5, 1.5) / _COMPENSATION
        self._timer = phone.layer.timers.start(now + round(pause, 3), self._due)

    def _due(self, argument: object, now: float) -> None:
        self._send(now)
        self._wait(now, 1.0)

    def _send(self, now: float, *, bye: bool = False) -> None:
        remote, sender = self.remote, self._call.senders.get(self._kind)
        if remote is None or sender is None:
            return
        info = None
        if sender.packets > self._counts[0]:
            # Section 6.4: who has sent since the report before the last one is a sender.
            moment = sender.timestamp_at(now)
            info = SenderInfo(_ntp(now), moment, sender.packets & 0xFFFFFFFF, sender.octets & 0xFFFFFFFF)
        self._counts = [self._counts[1], sender.packets]
        config = self._call.phone.config
        name = f"{config.user}@{config.ip}".encode()[:255]
        compound = Compound(sender.ssrc, info, tuple(self._blocks(now)), name, bye)
        wire = self._sealed(pack_rtcp(compound))
        self._call.phone.layer.send(self.local, remote, wire)
        self.sent += 1

    def _blocks(self, now: float) -> list[ReportBlock]:
        blocks = []
        for ssrc, (first, last, packets) in list(self._call.heard[self._kind].ranges.items())[-31:]:
            expected = last - first + 1
            before = self._prior.get(ssrc, (0, 0))
            self._prior[ssrc] = (expected, packets)
            due, came = expected - before[0], packets - before[1]
            fraction = min(255, (due - came) * 256 // due) if due > came else 0
            middle, at = self._last_sr.get(ssrc, (0, now))
            delay = round((now - at) * 65536)
            jitter = self._jitter[ssrc].value if ssrc in self._jitter else 0
            blocks.append(ReportBlock(ssrc, fraction, expected - packets, last, jitter, middle, delay))
        return blocks

    # -- receiving -----------------------------------------------------------------------------

    def receive(self, payload: bytes, source: Endpoint, now: float) -> None:
        """A report arrived."""
        compound = unpack_rtcp(payload)
        if compound is None:
            return
        self.received += 1
        self._source = source
        self.cname = compound.cname or self.cname
        self.left = self.left or compound.bye
        if compound.sender is not None:
            self._last_sr[compound.ssrc] = (compound.sender.ntp >> 16 & 0xFFFFFFFF, now)
        sender = self._call.senders.get(self._kind)
        for block in compound.blocks:
            if sender is not None and block.ssrc == sender.ssrc:
                self.reported = block

    def heard(self, header: RtpHeader, now: float) -> None:
        """A packet of media arrived at ``now``, in seconds."""
        self._jitter_of(header).packet(header.timestamp, now)

    def heard_train(self, train: Train) -> None:
        """Many packets of media arrived."""
        header, jitter = train.header, self._jitter_of(train.header)
        if train.arrivals is None:
            jitter.packet(header.timestamp, train.begin)
            jitter.even(train.packets - 1)
            return
        step = PACES[self._kind].step
        for at, number in zip(*train.arrivals, strict=True):
            jitter.packet(header.timestamp + number * step & 0xFFFFFFFF, at)

    def _jitter_of(self, header: RtpHeader) -> Jitter:
        return self._jitter.setdefault(header.ssrc, Jitter(_CLOCK.get(self._kind, 8000)))


def _ntp(now: float) -> int:
    return round(now * 2**32) & 0xFFFFFFFFFFFFFFFF
