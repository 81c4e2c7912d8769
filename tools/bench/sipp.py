"""How much SIPp can send through the emulated router before its queue drops: registrations, calls, media.

Through ``correct``: 100 registrations at Kamailio, and 20 simultaneous calls with sound (2,000 packets a
second, both directions together), with the counters of the queues. Then the highest call rate, of those in
``RATES``, at which no packet is dropped and every call succeeds.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from siplab.experiments.programs.process import Process
from siplab.experiments.trial import endpoints, registry, worker
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.stage import Setup
from siplab.lab.worlds.emulated import bubble, capability, host_files, ports
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.emulated.live import LiveWorld
from tools.bench.parts import Part, Row

CALLS: Final = 20
TALK: Final = 5.0  # seconds of each call
REGISTRATIONS: Final = 100
RATES: Final = (50, 100, 200, 400, 800)  # calls a second, without sound
PACKETS_A_SECOND: Final = 2 * 50 * CALLS
_PATIENCE: Final = 60.0
_PHONE, _SERVER, _FAR = "192.168.1.102", "198.51.100.10", "198.51.100.20"

_HEAD = """{line} SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];rport;branch=[branch]
Max-Forwards: 70
From: <sip:alice@lab.test>;tag=[call_number]
To: <{to}>{tag}
Call-ID: [call_id]
CSeq: {cseq}
Contact: <sip:alice@[local_ip]:[local_port]>
{more}Content-Length: {length}

{body}"""
_SDP = """v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
"""


def _send(
    line: str, to: str, cseq: str, *, tag: str = "", more: str = "", body: str = "", retrans: bool = True
) -> str:
    text = _HEAD.format(
        line=line, to=to, tag=tag, cseq=cseq, more=more, length="[len]" if body else "0", body=body
    )
    again = ' retrans="500"' if retrans else ""
    return f"<send{again}><![CDATA[\n{text}\n]]></send>"


def register_scenario() -> str:
    """A registration with digest (RFC 3261 section 22)."""
    parts = [
        _send("REGISTER sip:lab.test", "sip:alice@lab.test", "1 REGISTER", more="Expires: 300\n"),
        '<recv response="401" auth="true"/>',
        _send(
            "REGISTER sip:lab.test", "sip:alice@lab.test", "2 REGISTER",
            more="[authentication username=alice password=wonderland]\nExpires: 300\n",
        ),
        # Another 401 to the first REGISTER, if the answer was slow and SIPp repeated the request.
        '<recv response="401" optional="true"/>',
        '<recv response="200"/>',
    ]  # fmt: skip
    return f'<?xml version="1.0"?><scenario name="register">{"".join(parts)}</scenario>'


def call_scenario(seconds: float, sound: Path | None) -> str:
    """A call of ``seconds``; with a file of PCMU, the caller sends that sound."""
    uri = "sip:service@[remote_ip]:[remote_port]"
    stream = f'<nop><action><exec rtp_stream="{sound},-1,0"/></action></nop>' if sound is not None else ""
    parts = [
        _send(f"INVITE {uri}", uri, "1 INVITE", more="Content-Type: application/sdp\n", body=_SDP),
        '<recv response="100" optional="true"/><recv response="180" optional="true"/>',
        '<recv response="200" rtd="true"/>',
        _send(f"ACK {uri}", uri, "1 ACK", tag="[peer_tag_param]", retrans=False),
        stream,
        f'<pause milliseconds="{round(seconds * 1000)}"/>' if seconds else "",
        _send(f"BYE {uri}", uri, "2 BYE", tag="[peer_tag_param]"),
        '<recv response="200"/>',
    ]
    return f'<?xml version="1.0"?><scenario name="call">{"".join(parts)}</scenario>'


# -- in the bubble ---------------------------------------------------------------------------------------


def task(connection: Connection) -> None:
    """Task of a bubble."""
    bubble.serve(
        connection,
        lambda what, *arguments: (registrations if what == "registrations" else calls)(*arguments),
    )


def _world() -> LiveWorld:
    labs = worker.EmulatedLabs()
    world = labs.live(trial.network("home"), {"router": trial.models().get("correct")}, 1)
    assert isinstance(world, LiveWorld)
    return world


def _sipp(world: LiveWorld, host: str, ip: str, folder: Path, name: str, *more: str) -> Process:
    words = ["sipp", "-i", ip, "-nostdin", "-timeout", f"{_PATIENCE:g}", *more]
    return Process(world, name, host, words, {"TERM": "dumb"}, directory=str(folder))


def _end(world: LiveWorld, *processes: Process) -> list[str]:
    for each in processes:
        each.end(0.5)
        each.close()
    return world.close()


def registrations(count: int) -> dict[str, Any]:
    """``count`` phones of alice register at Kamailio, each from its own port, 50 a second."""
    world = _world()
    setup = endpoints.apply(Setup({"router": "correct"}), "", "program:kamailio")
    stage: Any = registry.program_stage()(world, setup, 1)
    with tempfile.TemporaryDirectory(dir=host_files.SHARED) as made:
        folder = Path(made)
        (folder / "register.xml").write_text(register_scenario())
        server = stage.server
        sipp = _sipp(
            world, "phone", _PHONE, folder, "registrations",
            "-sf", "register.xml", "-m", str(count), "-r", "50", "-t", "un", "-max_socket", str(count + 10),
            f"{_SERVER}:5060",
        )  # fmt: skip
        world.run_until(lambda: sipp.over, _PATIENCE)
        known = len(server.registrar.lookup("alice"))
        status, words = sipp.status, sipp.last_words
        sipp.end(0.5)
        sipp.close()
        problems = stage.finish() + world.close()
    return {"asked": count, "known": known, "status": status, "words": words, "problems": problems}


def calls(rate: float, count: int, seconds: float, sound: bool) -> dict[str, Any]:
    """``rate`` calls a second, ``count`` in all; returns what the taps and the queues' counters saw."""
    world = _world()
    with tempfile.TemporaryDirectory(dir=host_files.SHARED) as made:
        folder = Path(made)
        tone = folder / "tone.raw"
        tone.write_bytes(bytes([0x7F, 0x00, 0xFF, 0x80]) * 2000)
        (folder / "call.xml").write_text(call_scenario(seconds, tone if sound else None))
        callee = _sipp(
            world,
            "far-phone",
            _FAR,
            folder,
            "callee",
            "-sn",
            "uas",
            "-p",
            "5060",
            "-mp",
            "30000",
            "-rtp_echo",
        )
        namespace = world.namespace("far-phone")
        world.run_until(lambda: ports.is_bound(namespace, "udp", 5060) or callee.over, 10.0, every=0.01)
        caller = _sipp(
            world, "phone", _PHONE, folder, "caller",
            "-sf", "call.xml", "-m", str(count), "-r", f"{rate:g}", "-l", str(max(CALLS, count)),
            "-p", "5060", "-mp", "40000", f"{_FAR}:5060",
        )  # fmt: skip
        began = world.now
        world.run_until(lambda: caller.over, _PATIENCE)
        spent = world.now - began
        media = sum(len(each.packet) == 200 for each in world.trace.passages)
        status, words = caller.status, caller.last_words
        problems = _end(world, caller, callee)
    return {
        "calls": count,
        "status": status,
        "words": words,
        "media_packets": media,
        "packets": len(world.trace.passages),
        "packets_per_second": round(len(world.trace.passages) / spent),
        "seconds": round(spent, 2),
        "problems": problems,
    }


# -- what is measured ------------------------------------------------------------------------------------


def obstacle() -> str | None:
    """Which programs are missing, or what the emulated world needs; ``None`` if nothing."""
    missing = [each for each in ("sipp", "kamailio") if shutil.which(each) is None]
    return f"{', '.join(missing)} missing" if missing else capability.obstacle()


def measure() -> dict[str, Any]:
    """Measure everything, each part in its own bubble."""
    found: dict[str, Any] = {}
    with Bubble("tools.bench.sipp:task") as made:
        found["registrations"] = made.call("registrations", REGISTRATIONS)
        found["calls_with_sound"] = _calls(made, CALLS, CALLS, TALK, sound=True)
        highest = 0
        rates = []
        for rate in RATES:
            row = _calls(made, rate, 2 * rate, 0.0, sound=False)
            rates.append({"rate": rate, **row})
            if row["problems"] or row["status"] != 0:
                break
            highest = rate
        found["rates"] = rates
        found["highest_call_rate"] = highest
    return found


def _calls(made: Bubble, rate: float, count: int, seconds: float, *, sound: bool) -> dict[str, Any]:
    row: dict[str, Any] = made.call("calls", rate, count, seconds, sound)
    return row


def rows(found: dict[str, Any]) -> Iterator[Row]:
    sound = found["calls_with_sound"]
    yield Row(
        f"SIPp: {sound['calls']} calls with sound at once",
        f"{sound['packets_per_second']} packets a second",
        "; ".join(sound["problems"]) or "none dropped in a queue",
    )
    yield Row("SIPp: calls a second before a queue drops", f"{found['highest_call_rate']}")


PART: Final = Part("sipp", measure, rows, obstacle)
