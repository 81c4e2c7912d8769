"""The functions that ``make fuzz`` feeds with bytes. For any bytes, nothing may raise and readers must agree.

Each target takes any bytes; an exception is a finding. Seeds are input that the fuzzer begins with.
"""

from __future__ import annotations

import random
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from siplab.alg_models import catalogue, samples
from siplab.experiments import captures
from siplab.lab.gateway.sides import Side
from siplab.lab.media import ice_messages, stun
from siplab.lab.plain_data import PlainDataError, from_json, from_yaml
from siplab.lab.probing.anti_amplification import ADMIT, COOKIE, HELLO
from siplab.lab.probing.detection_server import DetectionServer
from siplab.lab.probing.probe_wire import kind_of, marks_of, pack, unpack
from siplab.lab.probing.reflector import CONTROL_PORT
from siplab.lab.sip import pseudo_tls
from siplab.lab.sip.base import Send
from siplab.lab.wire import compare, ip, rtcp, rtp, sdp, sip, syntax
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.syntax_sdp import sdp_findings
from tools.shapes import READERS, message

_SERVER: Final = samples.REGISTRAR
_CLIENT: Final = samples.PHONE
_PASSWORD: Final = b"password"


class Target(NamedTuple):
    """``run`` takes any bytes; ``seeds`` are a few valid inputs."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def _sip(data: bytes) -> None:
    parsed = sip.SipMessage.parse(data)
    assert bytes(parsed) == data
    assert b"".join(piece for piece, _ in sip.split_stream(data)) == data
    fatal = [each for each in syntax.check(parsed) if syntax.is_fatal(each)]
    assert syntax.first_fatal(parsed) == (fatal[0] if fatal else None)
    assert compare.differences(data, data) == []
    assert bool(compare.differences(data, data + b"x"))
    for name in ("header values", "stream", "phone", "server"):
        READERS[name](data)


def _sdp(data: bytes) -> None:
    assert bytes(sdp.Sdp.parse(data)) == data
    READERS["description"](b"\r\n\r\n" + data)
    for rule, _, at, sentence in sdp_findings(data):
        assert rule in syntax.RULES
        assert 0 <= at <= len(data)
        assert sentence.isprintable()


def _gateway(data: bytes) -> None:
    for model in _MODELS:
        gateway = samples.gateway_for(model)
        for side in Side:
            for emission in gateway.handle(data, side, 0.0):
                with suppress(ip.MalformedPacketError):
                    ip.parse(emission.packet)


def _ip(data: bytes) -> None:
    ip.verify(data)
    with suppress(ip.MalformedPacketError):
        ip.parse(data)
    _gateway(data)


def _tcp(data: bytes) -> None:
    """Send the bytes over a TCP connection through the routers; the bytes also choose the segments."""
    for model in _MODELS:
        gateway = samples.gateway_for(model)
        gateway.handle(ip.tcp(_CLIENT, _SERVER, flags=ip.SYN), Side.INSIDE, 0.0)
        reply = ip.tcp(_SERVER, samples.PUBLIC, ack=1, flags=ip.SYN | ip.ACK)
        gateway.handle(reply, Side.OUTSIDE, 0.01)
        at, number = 0, 1
        while at < len(data):
            size = 4 * data[at]
            piece = data[at + 1 : at + 1 + size]
            # A byte above 0xF0 sends the segment out of order.
            seq = number + (size if data[at] > 0xF0 else 0)
            gateway.handle(ip.tcp(_CLIENT, _SERVER, piece, seq=seq, ack=1), Side.INSIDE, 0.1 + at / 1000)
            at, number = at + 1 + size, number + len(piece)


def _stun(data: bytes) -> None:
    stun.answer(data, _CLIENT)
    ice_messages.is_stun(data)
    ice_messages.is_genuine(data, _PASSWORD)
    ice_messages.read_check(data, _PASSWORD)
    stun.mapped(data, bytes(12))
    rtcp.unpack_rtcp(data)
    rtp.unpack_rtp(data)
    pseudo_tls.unseal(data)


def _control(data: bytes) -> None:
    kind_of(data)
    marks_of(data)
    unpack(data)
    server = DetectionServer(_SERVER.ip, [5060], bytes(32))
    server.start(0.0)
    control = Endpoint(_SERVER.ip, CONTROL_PORT)
    (hello,) = server.receive(HELLO.ljust(32, b"\0"), _CLIENT, control, 0.0)
    assert isinstance(hello, Send)
    text = data[:60].decode("latin-1")
    cookie = hello.payload[len(COOKIE) :]
    for payload, local in (
        (data, control),
        (ADMIT + cookie + data, control),
        (ADMIT + cookie + pack({"s": "s", "t": "order", "do": {"q00000000001": [text]}}), control),
        (b"A sip:q00000000001 SIP/2.0\r\n" + data, Endpoint(_SERVER.ip, 5060)),
    ):  # fmt: skip
        server.receive(payload, _CLIENT, local, 1.0)
    server.on_timer(1000.0)


def _capture(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            capture = captures.read(Path(file.name))
        except captures.CaptureError:
            return
    assert len(capture.lines()) == len(capture.left_out)
    for _, _, packet in capture.packets:
        ip.parse(packet)


def _yaml(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for read in (from_yaml, from_json):
        with suppress(PlainDataError):
            read(text)


def _pcapng_of(packet: bytes) -> bytes:
    """A file with one packet of raw IP."""
    blocks = [
        (0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
        (1, struct.pack("<HHI", 101, 0, 0)),
        (6, struct.pack("<IIIII", 0, 0, 0, len(packet), len(packet)) + packet + bytes(-len(packet) % 4)),
    ]
    return b"".join(
        struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
        for kind, body in blocks
    )


_MODELS: Final = [catalogue.load().get(name) for name in ("correct", "linux", "broadcom", "blind-ip-replace")]
_REGISTER: Final = samples.all_samples()["register"].packets[0].data
_FRAME: Final = bytes(12) + b"\x08\0" + _REGISTER
_PCAP: Final = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + 2 * (
    struct.pack("<IIII", 0, 0, len(_FRAME), len(_FRAME)) + _FRAME
)
_CHECK: Final = ice_messages.check(
    bytes(12), _PASSWORD, ice_messages.Check(b"us:them", 1, use=True), controlling=True, tie_breaker=1
)
_PACKETS: Final = [
    each.data for name in ("register", "invite") for each in samples.all_samples()[name].packets
]
TARGETS: Final[dict[str, Target]] = {
    "sip": Target(_sip, (message(), samples.all_samples()["register-ok"].payload)),
    "sdp": Target(_sdp, (message().partition(b"\r\n\r\n")[2],)),
    "ip": Target(_ip, tuple(_PACKETS)),
    "tcp": Target(_tcp, (b"\xff" + message(),)),
    "stun": Target(_stun, (b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12), _CHECK)),
    "control": Target(_control, (pack({"s": "s", "t": "order", "do": {"q00000000001": ["200"]}}),)),
    "capture": Target(_capture, (_PCAP, _pcapng_of(_REGISTER))),
    "yaml": Target(_yaml, (b"a: [1, {b: c}]\nd: &e 2.5\nf: *e\n", b'{"a": [1, null]}')),
}


def mutated(target: str, rng: random.Random) -> bytes:
    """A seed with a few bytes replaced, repeated or cut; used if there is no fuzzer."""
    data = bytearray(rng.choice(TARGETS[target].seeds))
    for _ in range(rng.randrange(1, 8)):
        at = rng.randrange(len(data) + 1)
        cut = rng.randrange(at, min(len(data), at + 30) + 1)
        match rng.randrange(4):
            case 0:
                data[at:cut] = rng.randbytes(rng.randrange(6))
            case 1:
                data[at:at] = bytes(data[at:cut]) * rng.randrange(5)
            case 2:
                data[at:cut] = b""
            case _:
                data[at:at] = rng.choice((b"\r\n", b'"', b"\\", b"<", b":", b"\0", b"\xff", b" ", b"9" * 20))
    return bytes(data)
