"""Calls between two SIPps through an emulated router; to be called inside a bubble."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from siplab.alg_models import catalogue
from siplab.lab.gateway.gateway import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import MalformedPacketError
from siplab.lab.worlds.emulated import namespaces as ns
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.trace import Passage
from tests.lab.worlds import inside
from tests.lab.worlds.players import PHONE, REGISTRAR

SCENARIOS: Final = Path(__file__).with_name("sipp")
MEDIA_PORT: Final = 49170
# Bounds a call that would otherwise hang, in seconds.
LIMIT: Final = 30


class SippCall(NamedTuple):
    """One call: whether each SIPp was content, and what the router's two sides saw of it.

    ``sent`` came from the phone, ``forwarded`` is what became of it outside; ``answered`` came from the
    registrar, ``returned`` is what became of it inside. Whole messages, in order.
    """

    caller: int | None
    callee: int | None
    sent: list[bytes]
    forwarded: list[bytes]
    answered: list[bytes]
    returned: list[bytes]
    complaints: str
    problems: list[str]


def call(model: str, callee: str, transport: str, patience: float, folder: Path) -> SippCall:
    """The phone calls the registrar once. ``callee``: name of its scenario; ``transport``: SIPp's -t.

    ``patience``: seconds for which a SIPp waits for the next message before it gives its call up.
    """
    running = inside.lab()
    world = LiveWorld(running, {"router": catalogue.load().get(model)}, 1)
    common = [
        "-m",
        "1",
        "-t",
        transport,
        "-nostdin",
        "-timeout",
        str(LIMIT),
        "-recv_timeout",
        str(int(patience * 1000)),
    ]
    common += ["-mp", str(MEDIA_PORT), "-trace_err"]
    uas = _start(world, "registrar", folder, callee, [*common, "-i", REGISTRAR.ip, "-p", "5060"])
    namespace = running.fabric.namespaces["registrar"]
    inside.serve(world, lambda: uas.poll() is not None or _listening(namespace, transport))
    uac = _start(
        world,
        "phone",
        folder,
        "uac",
        [*common, "-i", PHONE.ip, "-p", "5060", f"{REGISTRAR.ip}:{REGISTRAR.port}"],
    )
    caller = world.wait(uac, 2 * LIMIT)
    if caller != 0:
        world.stop(uas)
    callee_status = world.wait(uas, 2 * LIMIT)
    complaints = "\n".join(each.read_text("utf-8", "replace") for each in sorted(folder.glob("*.log")))
    passages = world.trace.passages
    problems = world.close() + world.trace.model_errors
    return SippCall(
        caller,
        callee_status,
        _messages(passages, Side.INSIDE, leaving=False),
        _messages(passages, Side.OUTSIDE, leaving=True),
        _messages(passages, Side.OUTSIDE, leaving=False),
        _messages(passages, Side.INSIDE, leaving=True),
        complaints,
        problems,
    )


def _start(
    world: LiveWorld, host: str, folder: Path, scenario: str, options: list[str]
) -> subprocess.Popen[bytes]:
    log = folder / f"{host}.log"
    command = ["sipp", "-sf", str(SCENARIOS / f"{scenario}.xml"), "-error_file", str(log), *options]
    with (folder / f"{host}.out").open("wb") as output:
        return world.start(
            host,
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            environment={"TERM": "dumb"},
            directory=str(folder),
        )


def _listening(namespace: int, transport: str) -> bool:
    """Whether somebody has port 5060 open there."""
    table, state = ("tcp", "0A") if transport.startswith("t") else ("udp", "07")
    with ns.inside(namespace):
        rows = Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]
    return any(row.split()[1].endswith(":13C4") and row.split()[3] == state for row in rows)


def _messages(passages: list[Passage], side: Side, *, leaving: bool) -> list[bytes]:
    """SIP messages that entered or left the router on one side: datagrams, or what TCP carried."""
    packets: list[bytes] = []
    for passage in passages:
        if leaving:
            packets += [each.packet for each in passage.emissions if each.side is side]
        elif passage.side is side:
            packets.append(passage.packet)
    datagrams: list[bytes] = []
    segments: dict[int, bytes] = {}
    for data in packets:
        try:
            packet = ip.parse(data)
        except MalformedPacketError:
            continue
        if packet.protocol == ip.UDP:
            datagrams.append(packet.payload)
        elif packet.protocol == ip.TCP and packet.payload:
            segments.setdefault(packet.seq, packet.payload)
    return datagrams + _split(b"".join(segments.values()))


def _split(stream: bytes) -> list[bytes]:
    """The messages in a stream, framed by their Content-Length (RFC 3261 section 18.3)."""
    messages: list[bytes] = []
    while stream:
        head, _, rest = stream.partition(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.startswith(b"Content-Length:")
        )
        messages.append(head + b"\r\n\r\n" + rest[:length])
        stream = rest[length:]
    return messages
