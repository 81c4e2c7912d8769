"""A trial's trace, in a form that can be searched.

The rules of this file:

- A *journey* is one packet from its sender to where it ended (``experiments.output.journeys``). ``order`` is
  its place among the records of the trace. "Before" refers to this order.
- ``sent`` is a message as its sender made it, ``seen`` is the message as its receiver saw it. The differences
  are the gateways' work.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

from siplab.experiments.output.journeys import Journey, journeys_of
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.compare import differences
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Checked, Noted, Passage, Remark, SkippedPackets, Trace

_URI_FIELDS: Final = (b"contact", b"record-route", b"route", b"refer-to", b"path", b"service-route")


class Window(NamedTuple):
    """The records that a check is about: from ``start`` up to, but without, ``end``."""

    name: str
    passed: bool
    start: int
    end: int


class Remarking(NamedTuple):
    """A packet that left a gateway with another DSCP (RFC 2474) than it came with: ``before``, ``after``."""

    order: int
    gateway: str
    before: int
    after: int


@lru_cache(maxsize=8192)
def parsed(payload: bytes) -> SipMessage:
    """The parsed message of a datagram. Callers must not change it."""
    return SipMessage.parse(payload)


def sent(journey: Journey) -> bytes:
    """The payload as the sender made it."""
    return journey.sent.payload if journey.sent is not None else b""


def seen(journey: Journey) -> bytes:
    """The payload as the receiver saw it, or would have seen it."""
    return journey.left.payload if journey.left is not None else b""


def changed_parts(journey: Journey) -> list[str]:
    """The parts that gateways changed on the way."""
    if not journey.changes:
        return []
    return differences(sent(journey), seen(journey))


class Story:
    """A trace with its journeys, notes and checks."""

    def __init__(self, trace: Trace, network: Network) -> None:
        self.network = network
        self._trace = trace
        self.journeys = [each for each in journeys_of(trace, network) if each.sent is not None]
        self.signalling = [each for each in self.journeys if each.is_signalling]
        self.notes = [(order, each) for order, each in enumerate(trace) if isinstance(each, Noted)]
        self.remarks = [(order, each) for order, each in enumerate(trace) if isinstance(each, Remark)]
        self.windows = list(_windows(trace))
        self._left = list(_departures(trace))

    # -- messages ------------------------------------------------------------------------------------

    def request_of(self, response: Journey) -> Journey | None:
        """The request that a response answers: the latest with this CSeq and Call-ID that its sender saw."""
        message = parsed(sent(response))
        cseq, call_id = message.value(b"cseq"), message.value(b"call-id")
        for each in reversed(self.before(response.order)):
            if each.path[-1] != response.path[0] or each.label[:1].isdigit():
                continue
            other = parsed(seen(each))
            if (other.value(b"cseq"), other.value(b"call-id")) == (cseq, call_id):
                return each
        return None

    def before(self, order: int) -> list[Journey]:
        """The messages that began before a record."""
        return [each for each in self.signalling if each.order < order]

    def who_wrote(self, token: bytes, host: str, order: int, *, media: bool = False) -> Journey | None:
        """The message in which a gateway wrote ``token``, and from which ``host`` knows it.

        Goes back from the message that ``host`` received to its sender, to the message from which the sender
        knew the token, and so on. ``None``: no gateway wrote it.
        """
        known_from: Journey | None = None
        for _ in range(8):
            known_from = self.known_from(token, host, order, media=media)
            if known_from is None:
                return None
            if token not in _places(sent(known_from), media=media):
                return known_from if known_from.changes else None
            host, order = known_from.path[0], known_from.order
        return known_from

    def known_from(self, token: bytes, host: str, order: int, *, media: bool = False) -> Journey | None:
        """The latest message that a host received with ``token`` where it serves as an address."""
        for each in reversed(self.before(order)):
            if each.received and each.path[-1] == host and token in _places(seen(each), media=media):
                return each
        return None

    def written_on(self, token: bytes, order: int, *, first: bool = False) -> Journey | None:
        """The latest message up to a record (or the first one) into which a gateway wrote ``token``."""
        for each in self.signalling if first else reversed(self.signalling):
            if each.order <= order and each.changes and token in seen(each) and token not in sent(each):
                return each
        return None

    # -- marks ---------------------------------------------------------------------------------------

    def remarkings(self, end: int) -> Iterator[Remarking]:
        """The packets before a record to which a gateway gave another DSCP."""
        for order, record in enumerate(islice(self._trace, end)):
            if not isinstance(record, Passage):
                continue
            before = ip.dscp_of(record.packet)
            for emission in record.emissions:
                if emission.side is None or emission.originated:
                    continue
                if (after := ip.dscp_of(emission.packet)) != before:
                    yield Remarking(order, record.gateway, before, after)

    def journey_at(self, order: int) -> Journey | None:
        """The packet that a record is about. Each packet is carried to its end before the next one begins."""
        began = [each for each in self.journeys if each.order <= order]
        return began[-1] if began else None

    # -- bindings ------------------------------------------------------------------------------------

    def last_use(self, endpoint: Endpoint, order: int) -> float | None:
        """When a packet last left a gateway from this public endpoint, in seconds; ``None``: never."""
        times = [now for place, now, source in self._left if place < order and source == endpoint]
        return times[-1] if times else None


def _places(payload: bytes, *, media: bool) -> bytes:
    """The parts of a message from which an endpoint takes addresses for later packets."""
    message = parsed(payload)
    if media:
        return message.body
    values = [field.raw for name in _URI_FIELDS for field in message.all(name)]
    return b"\n".join([message.start_line if message.is_request else b"", *values])


def _windows(trace: Trace) -> Iterator[Window]:
    """Each check, with the records since the previous one; the same for checks made at one moment."""
    start = last = 0
    for order, record in enumerate(trace):
        if isinstance(record, Checked):
            if order > last + 1:
                start = last
            yield Window(record.name, record.passed, start, order)
            last = order


def _departures(trace: Trace) -> Iterator[tuple[int, float, Endpoint]]:
    """When packets left by which public endpoint. A stretch of media counts with its last packet."""
    public: dict[Endpoint, Endpoint] = {}
    for order, record in enumerate(trace):
        if isinstance(record, SkippedPackets) and record.local in public:
            yield order, record.until, public[record.local]
        elif isinstance(record, Passage) and record.side is Side.INSIDE:
            for emission in record.emissions:
                if emission.side is None or emission.originated:
                    continue
                try:
                    source = ip.parse(emission.packet).source
                    public[ip.parse(record.packet).source] = source
                except MalformedPacketError:
                    continue
                yield order, record.now, source
