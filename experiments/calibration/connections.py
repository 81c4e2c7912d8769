"""TCP connections of the corpus: messages in one segment each, split, joined, out of order, and repeated.

The same seed gives the same connections. A case is one connection from the phone to the registrar. Nobody
answers: all segments are written before the first is sent. So an inbound ACK may acknowledge any part of what
was sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from siplab.experiments.calibration import messages
from siplab.experiments.calibration.corpus import Case, Datagram
from siplab.experiments.calibration.outcome import Numbers
from siplab.experiments.calibration.places import INSIDE_IP, SERVER_IP, Flow, View
from siplab.experiments.calibration.weights import Dice
from siplab.lab.wire.ip import ACK, PSH, SYN, Endpoint

_FIRST, _SERVERS_FIRST = 1000, 77000  # TCP sequence numbers of the first data byte
_ACKED: Final = 0.9  # the share of what was sent that may be acknowledged: the router may have shortened it
_WAYS: Final = (
    (20, "one by one"),
    (20, "cut"),
    (20, "pipelined"),
    (10, "pipelined and cut"),
    (25, "out of order"),
    (15, "an old one again"),
)
_METHODS: Final = ((30, "OPTIONS"), (30, "REGISTER"), (20, "INVITE"), (10, "MESSAGE"), (10, "NOTIFY"))


def cases(seed: int, segments: int) -> list[Case]:
    """Cases with at least so many segments in all."""
    made: list[Case] = []
    count = 0
    for index in range(segments):
        if count >= segments:
            break
        made.append(_case(Dice(f"calibration/tcp/{seed}/{index}")))
        count += len(made[-1].datagrams)
    return made


def _case(rng: Dice) -> Case:
    way = rng.draw(_WAYS)
    rng.calm = not rng.chance(20)
    where = Flow(Endpoint(INSIDE_IP, rng.draw(((60, 5060), (40, 40000)))), Endpoint(SERVER_IP, 5060))
    return Case(f"tcp, {way}", tuple(_connection(rng, where, way)))


def _connection(rng: Dice, where: Flow, way: str) -> Iterator[Datagram]:
    there = Datagram(True, where.inside, where.server, b"")
    back = Datagram(False, where.server, where.public, b"")
    yield replace(there, numbers=Numbers(_FIRST - 1, 0, SYN))
    yield replace(back, numbers=Numbers(_SERVERS_FIRST - 1, _FIRST, SYN | ACK))
    yield replace(there, numbers=Numbers(_FIRST, _SERVERS_FIRST, ACK))
    view, opposite = View(where.inside, where.server), View(where.server, where.public)
    methods = [rng.draw(_METHODS) for _ in range(4)]
    sent = [
        _over_tcp(rng, messages.request(rng, method, view, number=at)) for at, method in enumerate(methods, 1)
    ]
    answers = [
        _over_tcp(rng, messages.response(rng, 200, method, opposite, number=at))
        for at, method in enumerate(methods[:2], 1)
    ]
    total, answered = len(b"".join(sent)), 0
    for at, (offset, data) in enumerate(_segments(rng, sent, way)):
        yield replace(there, payload=data, numbers=Numbers(_FIRST + offset, _SERVERS_FIRST, ACK | PSH))
        acked = _FIRST + rng.randrange(max(1, int(_ACKED * (offset + len(data)))))
        yield replace(back, numbers=Numbers(_SERVERS_FIRST + answered, acked, ACK))
        if at < len(answers):
            numbers = Numbers(_SERVERS_FIRST + answered, acked, ACK | PSH)
            yield replace(back, payload=answers[at], numbers=numbers)
            answered += len(answers[at])
    yield replace(there, numbers=Numbers(_FIRST + total, _SERVERS_FIRST, ACK))


def _over_tcp(rng: Dice, message: bytes) -> bytes:
    """A message of the corpus, most often with TCP in its Via and in its URIs."""
    if rng.chance(85):
        message = message.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP")
    if rng.chance(50):
        message = message.replace(b">", b";transport=tcp>")
    return message


def _segments(rng: Dice, sent: Sequence[bytes], way: str) -> list[tuple[int, bytes]]:
    """Offset and data of each segment, in the order of sending."""
    parts = list(sent)
    if way == "cut":
        at = rng.randrange(len(parts))
        cut = rng.randrange(1, len(parts[at]))
        parts[at : at + 1] = [parts[at][:cut], parts[at][cut:]]
    if way == "pipelined" and len(parts[1] + parts[2]) <= messages.MAX_SIZE:
        parts[1:3] = [parts[1] + parts[2]]
    if way == "pipelined and cut":  # a whole message and the beginning of the next one
        cut = rng.randrange(1, max(2, min(len(parts[2]), messages.MAX_SIZE - len(parts[1]))))
        parts[1:3] = [parts[1] + parts[2][:cut], parts[2][cut:]]
    placed, offset = [], 0
    for part in parts:
        placed.append((offset, part))
        offset += len(part)
    if way == "out of order":
        rng.shuffle(placed)
    if way == "an old one again":
        placed.append(placed[rng.randrange(len(placed) - 1)])
    return placed
