"""What the probe pack sends, and when.

It consists of all samples of the catalogue (with each fault's documented example), cases of the calibration's
corpus, and conversations of its own, which separate models that do the same in the others. What needs no
waiting comes first, then three silences at the same time: 40, 65 and 185 s on separate flows. Conversations
of up to an hour are left out unless asked for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from siplab.alg_models import samples
from siplab.alg_models.samples import PHONE, PUBLIC, SECOND_PHONE, Sample
from siplab.experiments.calibration import corpus, places
from siplab.experiments.calibration.corpus import Case
from siplab.experiments.probe_pack import conversations
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.worlds.open_loop import Conversation, Script, Step

SEED: Final = 7  # seed of the calibration's cases
DATAGRAMS: Final = 600
STEP: Final = 0.02  # seconds between two packets
HOUR: Final = 3600.0
IDLE: Final = (65.0, 185.0)  # seconds; NAT bindings and pinholes often last one minute, two or three
MINUTES: Final = 200.0  # seconds: a silence up to this becomes the longer one of ``IDLE``
_QUICK: Final = 30.0  # seconds: a shorter silence in a sample has no significance
_MINUTE: Final = 100.0  # seconds: a silence up to this becomes the shorter one of ``IDLE``
_BRANCH: Final = re.compile(rb"(?<=z9hG4bK)\d\d(?=[;\r\n, >])")
_CALL_ID: Final = re.compile(rb"(?im)^(?:call-id|i)[ \t]*:[ \t]*([0-9a-f]{8}|pbx\d)(?=[@\r])")
_MEDIA_PORTS: Final = range(49170, 49190)  # used by the samples
_MEDIA_PORT: Final = re.compile(rb"(?<!\d)491[78]\d(?!\d)")
_FIRST_MEDIA_PORT: Final = 30000  # for conversation 0
_TCP_PORT: Final = 20000  # a connection's inside port is this plus the conversation's number
_DIGITS: Final = b"0123456789abcdefghijklmnopqrstuvwxyz"


def script(longest: float = MINUTES) -> Script:
    """The pack, without conversations that take more than ``longest`` seconds."""
    quick: list[Conversation] = []
    idle: list[Conversation] = []
    for number, each in enumerate(_all()):
        made = _named_apart(_timed(each), number)
        if made.ends > longest:
            continue
        (idle if made.ends > _QUICK else quick).append(made)
    begins, placed = 0.0, []
    for each in quick:
        placed.append(replace(each, begins=begins))
        begins += each.ends + STEP
    for each in idle:
        placed.append(replace(each, begins=begins))
        begins += STEP * len(each.steps)
    return Script(tuple(placed))


def other_cases(seed: int, datagrams: int) -> Script:
    """Cases of the calibration that the pack does not have. They test models learnt from the pack."""
    begins, placed = 0.0, []
    for number, case in enumerate(corpus.cases(seed, datagrams)):
        made = _named_apart(_timed(_of_case(f"other-{number} {case.kind}", case)), number)
        placed.append(replace(made, begins=begins))
        begins += made.ends + STEP
    return Script(tuple(placed))


def _all() -> Iterator[Conversation]:
    for name, sample in samples.all_samples().items():
        yield _of_sample(name, sample)
    for number, case in enumerate(corpus.cases(SEED, DATAGRAMS)):
        yield _of_case(f"case-{number} {case.kind}", case)
    yield from conversations.all_conversations()


def _of_sample(name: str, sample: Sample) -> Conversation:
    steps = tuple(Step(*each) for each in sample.packets)
    first = ip.parse(steps[0].packet).source
    media = Endpoint(first.ip, 49170)
    return Conversation(name, steps, {PUBLIC.port: first, PUBLIC.port + 2: media})


def _of_case(name: str, case: Case) -> Conversation:
    """In a case the NAT keeps ports. Here each inside port has its own public port."""
    steps = tuple(
        Step(
            index * STEP,
            Side.INSIDE if each.outbound else Side.OUTSIDE,
            ip.udp(each.source, each.destination, each.payload),
        )
        for index, each in enumerate(case.datagrams)
    )
    inside = {places.INSIDE_IP: PHONE.ip, places.OTHER_INSIDE_IP: SECOND_PHONE.ip}
    ports = {
        each.destination.port: Endpoint(PHONE.ip, each.destination.port)
        for each in case.datagrams
        if not each.outbound
    }
    (moved,) = Script((Conversation(name, steps, ports),)).moved(inside).conversations
    return replace(moved, ports=ports)


# -- times ---------------------------------------------------------------------------------------------


def _timed(conversation: Conversation) -> Conversation:
    """The conversation with short silences as short as can be, and longer ones as long as the pack's."""
    now, before, steps = 0.0, 0.0, []
    for number, each in enumerate(conversation.steps):
        gap = each.at - before
        before = each.at
        now += _silence(gap) if number else 0.0
        steps.append(each._replace(at=round(now, 3)))
    return replace(conversation, steps=tuple(steps))


def _silence(gap: float) -> float:
    if gap < _QUICK:
        return STEP
    if gap <= conversations.SHORT:
        return gap
    if gap > MINUTES:
        return gap
    return IDLE[0] if gap <= _MINUTE else IDLE[1]


# -- names ---------------------------------------------------------------------------------------------


def _named_apart(conversation: Conversation, number: int) -> Conversation:
    """Give Call-IDs, branches, media and TCP ports values of their own, of the same lengths."""
    texts: dict[bytes, bytes] = {}
    for each in conversation.steps:
        for token in _CALL_ID.findall(each.packet):
            unique = hashlib.blake2b(token, key=conversation.name.encode()[:64]).hexdigest()
            texts[token] = unique[: len(token)].encode()
    apart = _Apart(texts, number)
    steps = tuple(each._replace(packet=apart.packet(each.packet)) for each in conversation.steps)
    tcp = {_source(each.packet) for each in conversation.steps if each.packet[9] == ip.TCP}
    ports = {
        public: inside._replace(port=apart.tcp_port if inside in tcp else apart.port(inside.port))
        for public, inside in conversation.ports.items()
    }
    return replace(conversation, steps=steps, ports=ports)


class _Apart:
    """Renames what two conversations would otherwise have in common."""

    def __init__(self, texts: dict[bytes, bytes], number: int) -> None:
        self._texts, self._number = texts, number
        self.tcp_port = _TCP_PORT + number

    def port(self, port: int) -> int:
        if port not in _MEDIA_PORTS:
            return port
        return _FIRST_MEDIA_PORT + len(_MEDIA_PORTS) * self._number + port - _MEDIA_PORTS.start

    def packet(self, packet: bytes) -> bytes:
        try:
            parsed = ip.parse(packet)
        except MalformedPacketError:
            return packet
        if parsed.is_fragment:
            return packet
        payload = parsed.payload
        for old, new in self._texts.items():
            payload = payload.replace(old, new)
        payload = _BRANCH.sub(lambda found: _two_digits(self._number, found[0]), payload)
        payload = _MEDIA_PORT.sub(lambda found: b"%d" % self.port(int(found[0])), payload)
        tcp = parsed.protocol == ip.TCP and parsed.src.startswith("192.168.")
        sport = self.tcp_port if tcp else self.port(parsed.sport)
        return bytes(parsed.with_(payload=payload, sport=sport, dport=self.port(parsed.dport)))


def _two_digits(number: int, branch: bytes) -> bytes:
    value = (number * 7 + int(branch)) % len(_DIGITS) ** 2
    return bytes((_DIGITS[value // len(_DIGITS)], _DIGITS[value % len(_DIGITS)]))


def _source(packet: bytes) -> Endpoint:
    return ip.parse(packet).source
