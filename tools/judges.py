"""``python -m tools.judges``: compare the lab's syntax check with Kamailio's module sanity and with tshark.

Both programs (the judges) get every distinct SIP message over UDP that a model of the catalogue, or a
variant, makes from a sample. Their verdicts are compared with those of lab/wire/syntax. ``--write`` writes
the table of docs/agreement.md. Needs Kamailio, tshark and the right to make namespaces.

The rules of this file:

- Verdicts are never parsed from sentences. Kamailio's configuration writes one of three words and the source
  port for each message; if it writes nothing, the parser of its core has refused the message. tshark's
  verdict is a number, its severity.
- A judge checks less than the lab: a message that it accepts may still be wrong. Two results count: messages
  that the lab calls correct and a judge refuses, and the rules of the lab that a judge has, too.
"""

from __future__ import annotations

import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from siplab.alg_models import catalogue, samples
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.wire.sip import SipMessage
from siplab.lab.wire.syntax import check, is_fatal
from siplab.lab.worlds.emulated import bubble
from siplab.lab.worlds.trace import looks_like_sip
from tools.pages import DOCS, MadePart

PAGE: Final = DOCS / "agreement.md"
_PORT: Final = 5060
_BATCH: Final = 200  # messages per batch, after which Kamailio's log is read
_PATIENCE: Final = 20.0
_FIRST_PORT: Final = 10_000  # the first source port; each message of a batch has its own
_ERROR: Final = 8388608  # epan/proto.h: PI_ERROR; PI_MALFORMED dissectors have it too
_GOOD: Final = samples.wire(
    b"OPTIONS sip:lab.test SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\nMax-Forwards: 70\n"
    b"From: <sip:a@lab.test>;tag=1\nTo: <sip:b@lab.test>\nCall-ID: 1\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n"
)
# The checks are those of Kamailio's own kamailio.cfg.
_CONFIG: Final = """#!KAMAILIO
debug=-1
log_stderror=yes
children=1
disable_tcp=yes
auto_aliases=no
dns=no
rev_dns=no
alias="lab.test"
listen=udp:127.0.0.1:5060
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/:/usr/lib/aarch64-linux-gnu/kamailio/modules/"
loadmodule "pv.so"
loadmodule "sl.so"
loadmodule "xlog.so"
loadmodule "sanity.so"
modparam("sanity", "noreply", 1)
request_route {
	if (sanity_check("17895", "7")) xlog("L_ALERT", "judged $sp takes\\n");
	else xlog("L_ALERT", "judged $sp refuses\\n");
}
reply_route {
	if (sanity_check("17604", "6")) xlog("L_ALERT", "judged $sp takes\\n");
	else xlog("L_ALERT", "judged $sp refuses\\n");
	drop;
}
"""
_JUDGED: Final = re.compile(rb"judged (\d+) (takes|refuses)\n")


@dataclass(frozen=True)
class Verdicts:
    """The verdicts on one message.

    ``rule``: the first of the lab's rules that it breaks, fatal ones first; empty for none. ``minded``:
    whether that is fatal. ``kamailio`` and ``tshark``: whether these refuse the message.
    """

    message: bytes
    rule: str
    minded: bool
    kamailio: bool
    tshark: bool


def messages(every: int = 1) -> list[bytes]:
    """Every distinct SIP message over UDP that leaves a router. ``every``: with every n-th model only."""
    found: dict[bytes, None] = {}
    for model in list(catalogue.load().runnable())[::every]:
        for name in samples.all_samples():
            for emission in samples.cross(model, name).emissions:
                if (payload := _payload(emission.packet)) is not None:
                    found[payload] = None
    return list(found)


def _payload(packet: bytes) -> bytes | None:
    try:
        parsed = ip.parse(packet)
    except MalformedPacketError:
        return None
    whole = parsed.protocol == ip.UDP and not parsed.is_fragment
    return parsed.payload if whole and looks_like_sip(parsed.payload) else None


def judge(given: Sequence[bytes]) -> list[Verdicts]:
    """The three verdicts on each message. Raises ``CapabilityError`` if namespaces are not possible."""
    with bubble.Bubble("tools.judges:task") as made:
        by_kamailio: list[bool] = made.call(list(given))
    rows = zip(given, by_kamailio, tshark(given), strict=True)
    return [Verdicts(each, *_by_lab(each), kamailio, shark) for each, kamailio, shark in rows]


def _by_lab(message: bytes) -> tuple[str, bool]:
    violations = check(SipMessage.parse(message))
    minded = next((each for each in violations if is_fatal(each)), None)
    first = minded or next(iter(violations), None)
    return (first.rule if first is not None else ""), minded is not None


# -- tshark ----------------------------------------------------------------------------------------------


def tshark(given: Sequence[bytes]) -> list[bool]:
    """Whether tshark calls each message malformed, or marks it with an error."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "messages.pcap")
        path.write_bytes(b"".join(_capture(given)))
        wanted = ("frame.number", "_ws.malformed", "_ws.expert.severity")
        options = [word for each in wanted for word in ("-e", each)]
        done = subprocess.run(
            ["tshark", "-n", "-r", str(path), "-T", "fields", *options],
            capture_output=True,
            text=True,
            check=True,
        )
    refused = [False] * len(given)
    for line in done.stdout.splitlines():
        number, malformed, severities = line.split("\t")
        worst = max((int(each) for each in severities.split(",") if each), default=0)
        refused[int(number) - 1] = bool(malformed) or worst >= _ERROR
    return refused


def _capture(given: Sequence[bytes]) -> Iterator[bytes]:
    """A capture in libpcap's format, LINKTYPE_RAW."""
    yield struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101)
    ends = Endpoint("203.0.113.7", _PORT), Endpoint("198.51.100.10", _PORT)
    for number, each in enumerate(given):
        packet = ip.udp(*ends, each)
        yield struct.pack("<IIII", number, 0, len(packet), len(packet)) + packet


# -- Kamailio --------------------------------------------------------------------------------------------


def task(connection: Connection) -> None:
    """Task of a bubble, which has its own loopback device."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    bubble.serve(connection, kamailio)


def kamailio(given: Sequence[bytes]) -> list[bool]:
    """Whether Kamailio's parser or its module sanity refuses each message. Call this in a bubble only."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "kamailio.cfg").write_text(_CONFIG)
        log = (folder / "log").open("wb")
        command = ["kamailio", "-DD", "-E", "-m", "32", "-M", "4", "-f", f"{folder}/kamailio.cfg"]
        process = subprocess.Popen([*command, "-Y", name, "-P", f"{folder}/pid"], stdout=log, stderr=log)
        try:
            return _asked(given, folder / "log", process)
        finally:
            process.kill()
            process.wait()
            log.close()


def _asked(given: Sequence[bytes], log: Path, process: subprocess.Popen[bytes]) -> list[bool]:
    refused: list[bool] = []
    said = _Said(log, process)
    for number in _until_ready(said):
        _send(_GOOD, number)
    for begin in range(0, len(given), _BATCH):
        batch = given[begin : begin + _BATCH]
        for number, each in enumerate(batch):
            _send(each, _FIRST_PORT + number)
        # Kamailio's only process takes messages in order: after this one, all others have been judged.
        mark = _FIRST_PORT + _BATCH + begin // _BATCH
        _send(_GOOD, mark)
        said.wait(mark, _PATIENCE)
        refused += [said.words.get(_FIRST_PORT + number) != b"takes" for number in range(len(batch))]
        said.words.clear()
    return refused


def _until_ready(said: _Said) -> Iterator[int]:
    """Source ports for test messages, until Kamailio answers one: before it is ready, messages get lost."""
    for number in range(100):
        yield 1000 + number
        if said.wait(1000 + number, 0.1, needed=False):
            return
    raise RuntimeError("kamailio does not get ready")


def _send(message: bytes, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sender.bind(("127.0.0.1", port))
        sender.sendto(message, ("127.0.0.1", _PORT))


class _Said:
    """What Kamailio wrote about the messages, by their source ports."""

    def __init__(self, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.words: dict[int, bytes] = {}
        self._log, self._process = log, process
        self._read = 0

    def wait(self, port: int, seconds: float, *, needed: bool = True) -> bool:
        """Wait for the verdict on the message from ``port``; returns whether it came.

        Raises ``RuntimeError`` if it is ``needed`` and does not come.
        """
        deadline = time.monotonic() + seconds
        while port not in self.words and time.monotonic() < deadline and self._process.poll() is None:
            time.sleep(0.005)
            data = self._log.read_bytes()[self._read :]
            end = data.rfind(b"\n") + 1
            self._read += end
            self.words |= {int(number): word for number, word in _JUDGED.findall(data[:end])}
        if needed and port not in self.words:
            raise RuntimeError(f"kamailio stopped judging: {self._log.read_bytes()[-300:]!r}")
        return port in self.words


# -- the page --------------------------------------------------------------------------------------------


def table(found: Sequence[Verdicts] | None = None) -> str:
    """The table of how the verdicts agree, by the lab's rules, in Markdown."""
    found = judge(messages()) if found is None else found
    sound = [each for each in found if not each.minded]
    lines = [
        f"{len(found)} distinct messages; the lab calls {len(sound)} of them sound, "
        f"{sum(each.kamailio for each in sound)} of these Kamailio refuses and "
        f"{sum(each.tshark for each in sound)} tshark.",
        "",
        "| what the lab says first | messages | Kamailio refuses | tshark refuses |",
        "|---|---|---|---|",
    ]
    count = Counter((each.minded, each.rule) for each in found)
    for minded, rule in sorted(count, key=lambda row: (not row[0], row[1])):
        among = [each for each in found if (each.minded, each.rule) == (minded, rule)]
        name = f"`{rule}`{'' if minded else ', a warning'}" if rule else "nothing"
        by = sum(each.kamailio for each in among), sum(each.tshark for each in among)
        lines.append(f"| {name} | {len(among)} | {by[0]} | {by[1]} |")
    return "\n".join([*lines, ""])


PART: Final = MadePart(PAGE, "judges", table, "verdicts")


if __name__ == "__main__":
    if shutil.which("kamailio") is None or shutil.which("tshark") is None:
        sys.exit("judges: needs kamailio and tshark: apt-get install kamailio tshark")
    sys.exit(PART.main())
