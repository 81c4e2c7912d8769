"""The corpus: cases of one or several datagrams. The same seed gives the same corpus.

A case begins with an empty connection table. Its first datagram goes out, so that answers can come in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from siplab.experiments.calibration import messages
from siplab.experiments.calibration.outcome import Numbers
from siplab.experiments.calibration.places import FOREIGN_IP, Flow, View, flow
from siplab.experiments.calibration.weights import Dice
from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragment_of
from siplab.lab.wire.ip import Endpoint


class Piece(NamedTuple):
    """The bytes of a datagram, with UDP header, that one fragment has; ``more``: other fragments follow."""

    identification: int
    begin: int  # a multiple of eight
    end: int
    more: bool

    def of(self, packet: bytes) -> bytes:
        """This fragment of a whole packet."""
        identification, begin, end, more = self
        return fragment_of(packet, begin, end, more=more, identification=identification)


@dataclass(frozen=True)
class Datagram:
    """One UDP datagram, as it is sent. If it is inbound, ``destination`` is the public endpoint.

    With ``numbers`` it is a TCP segment, with ``piece`` a fragment of the datagram. ``after``: seconds to
    wait before it is sent.
    """

    outbound: bool
    source: Endpoint
    destination: Endpoint
    payload: bytes
    numbers: Numbers | None = None
    piece: Piece | None = None
    after: float = 0.0

    def __bytes__(self) -> bytes:
        """The whole packet."""
        if self.numbers is None:
            whole = self.piece is None
            packet = ip.udp(self.source, self.destination, self.payload, dont_fragment=whole)
            return packet if self.piece is None else self.piece.of(packet)
        seq, ack, flags = self.numbers
        return ip.tcp(self.source, self.destination, self.payload, seq=seq, ack=ack, flags=flags)


@dataclass(frozen=True)
class Case:
    """Datagrams that belong together, in the order of sending."""

    kind: str
    datagrams: tuple[Datagram, ...]


def cases(seed: int, datagrams: int) -> list[Case]:
    """Cases with at least so many datagrams in all."""
    made: list[Case] = []
    count = 0
    for index in range(datagrams):
        if count >= datagrams:
            break
        made.append(_case(Dice(f"calibration/{seed}/{index}")))
        count += len(made[-1].datagrams)
    return made


def _case(rng: Dice) -> Case:
    kind, play = rng.draw(_KINDS)
    rng.calm = rng.chance(45)
    where = flow(rng)
    datagrams = list(play(rng, where))
    if rng.chance(7):
        at = rng.randrange(len(datagrams))
        datagrams[at] = replace(datagrams[at], payload=messages.damaged(rng, datagrams[at].payload))
        kind += ", damaged"
    return Case(kind, tuple(datagrams))


# -- datagrams ---------------------------------------------------------------------------------------


def _out(where: Flow, payload: bytes) -> Datagram:
    return Datagram(True, where.inside, where.server, payload)


def _in(where: Flow, payload: bytes, source: Endpoint | None = None) -> Datagram:
    return Datagram(False, source or where.server, where.public, payload)


def _going_out(where: Flow) -> View:
    return View(where.inside, where.server)


def _coming_in(where: Flow) -> View:
    return View(where.server, where.public)


# -- kinds of cases ------------------------------------------------------------------------------------

_METHODS: Final = (
    (22, "INVITE"), (16, "REGISTER"), (10, "OPTIONS"), (8, "ACK"), (8, "BYE"), (6, "CANCEL"), (7, "UPDATE"),
    (6, "PRACK"), (5, "SUBSCRIBE"), (4, "NOTIFY"), (4, "REFER"), (3, "MESSAGE"), (3, "INFO"), (2, "PUBLISH"),
    (1, "invite"), (1, "INVITEX"), (1, "FOO"),
)  # fmt: skip
_STATUSES: Final = (
    (34, 200), (12, 180), (10, 183), (8, 100), (8, 401), (4, 407), (6, 404), (4, 486), (3, 302), (3, 488),
    (3, 202), (2, 500), (2, 603), (1, 299),
)  # fmt: skip
_KEEPALIVES: Final = (b"\r\n\r\n", b"\r\n", b"\0", b"SIP/2.0 20", b"0123456789", b"SIP/2.0 200", b"jaK\n" * 3)


def _one_out(rng: Dice, where: Flow) -> Iterator[Datagram]:
    yield _out(where, messages.request(rng, rng.draw(_METHODS), _going_out(where)))


def _exchange(rng: Dice, where: Flow) -> Iterator[Datagram]:
    method = rng.draw(_METHODS)
    yield _out(where, messages.request(rng, method, _going_out(where)))
    for _ in range(rng.choice((1, 1, 2))):
        yield _in(where, messages.response(rng, rng.draw(_STATUSES), method, _coming_in(where)))


def _registration(rng: Dice, where: Flow) -> Iterator[Datagram]:
    challenge = rng.draw(((70, 401), (20, 200), (10, 407)))
    yield _out(where, messages.request(rng, "REGISTER", _going_out(where)))
    yield _in(where, messages.response(rng, challenge, "REGISTER", _coming_in(where)))
    yield _out(where, messages.request(rng, "REGISTER", _going_out(where), number=2))
    yield _in(where, messages.response(rng, 200, "REGISTER", _coming_in(where), number=2))


def _call_out(rng: Dice, where: Flow) -> Iterator[Datagram]:
    view, back = _going_out(where), _coming_in(where)
    yield _out(where, messages.request(rng, "INVITE", view, has_body=not rng.chance(8)))
    if rng.chance(60):
        yield _in(where, messages.response(rng, rng.choice((100, 180, 183)), "INVITE", back))
    yield _in(where, messages.response(rng, rng.draw(((85, 200), (15, 486))), "INVITE", back))
    yield _out(where, messages.request(rng, "ACK", view))
    if rng.chance(35):
        yield _out(where, messages.request(rng, "INVITE", view, number=2, has_body=True))
        yield _in(where, messages.response(rng, 200, "INVITE", back, number=2))
    yield _out(where, messages.request(rng, "BYE", view, number=3))
    yield _in(where, messages.response(rng, 200, "BYE", back, number=3))


def _call_in(rng: Dice, where: Flow) -> Iterator[Datagram]:
    view, back = _going_out(where), _coming_in(where)
    yield _out(where, messages.request(rng, "REGISTER", view))
    yield _in(where, messages.response(rng, 200, "REGISTER", back))
    caller = rng.draw(
        ((70, where.server), (15, Endpoint(where.server.ip, 5070)), (15, Endpoint(FOREIGN_IP, 5060)))
    )
    back = View(caller, where.public)
    view = View(where.inside, caller)
    answered = replace(where, server=caller)
    target = f"sip:alice@{where.public.ip}:{where.public.port}" if rng.chance(75) else ""
    yield _in(where, messages.request(rng, "INVITE", back, target=target), caller)
    yield _out(answered, messages.response(rng, rng.choice((180, 200, 200)), "INVITE", view))
    yield _in(where, messages.request(rng, "ACK", back, target=target), caller)
    yield _in(where, messages.request(rng, "BYE", back, number=2, target=target), caller)
    yield _out(answered, messages.response(rng, 200, "BYE", view, number=2))


def _session_out(rng: Dice, where: Flow) -> Iterator[Datagram]:
    method = rng.draw(((70, "INVITE"), (12, "UPDATE"), (10, "ACK"), (8, "PRACK")))
    yield _out(where, messages.request(rng, method, _going_out(where), has_body=True))


def _session_in(rng: Dice, where: Flow) -> Iterator[Datagram]:
    yield _out(where, messages.request(rng, "INVITE", _going_out(where), has_body=rng.chance(50)))
    yield _in(
        where, messages.response(rng, rng.choice((183, 200)), "INVITE", _coming_in(where), has_body=True)
    )


def _media(rng: Dice, where: Flow) -> Iterator[Datagram]:
    """An SDP offer, and media that then come in at its ports."""
    rng.calm = True
    offer = messages.request(rng, "INVITE", _going_out(where), has_body=True)
    yield _out(where, offer)
    ports = [int(line.split()[1]) for line in offer.decode().splitlines() if _names_port(line)]
    for port in ports[:2]:
        for remote in (Endpoint(where.server.ip, 30000), Endpoint(FOREIGN_IP, 30000)):
            for target in (port & ~1, port | 1):
                yield Datagram(False, remote, Endpoint(where.public.ip, target), b"\x80\0\0\1media-in")
    yield _out(where, messages.request(rng, "BYE", _going_out(where), number=2))
    for port in ports[:1]:
        yield Datagram(
            False, Endpoint(where.server.ip, 30002), Endpoint(where.public.ip, port & ~1), b"\x80\0\0\2late"
        )


def _names_port(line: str) -> bool:
    words = line.split()
    return line.startswith("m=") and len(words) > 1 and words[1].isdigit() and 1023 < int(words[1]) < 65535


def _keepalive(rng: Dice, where: Flow) -> Iterator[Datagram]:
    yield _out(where, rng.choice(_KEEPALIVES))
    yield _in(where, rng.choice(_KEEPALIVES))


_Play = Callable[[Dice, Flow], Iterator[Datagram]]
_KINDS: Final[tuple[tuple[int, tuple[str, _Play]], ...]] = (
    (19, ("request", _one_out)),
    (19, ("exchange", _exchange)),
    (12, ("registration", _registration)),
    (12, ("call out", _call_out)),
    (12, ("call in", _call_in)),
    (12, ("session out", _session_out)),
    (9, ("session in", _session_in)),
    (3, ("media", _media)),
    (2, ("keep-alive", _keepalive)),
)
