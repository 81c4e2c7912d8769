"""Captures as other programs read them: scapy, and tshark where it is installed."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from siplab.experiments.output import pcapng
from siplab.experiments.trial.run import run
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.gateway.alg import Card, Context, Model, Recipe
from siplab.lab.gateway.gateway import Gateway, Side
from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragmented
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.trace import LossReason, Lost, Passage, Received, Sent, Trace
from tests.conftest import missing

PHONE, SERVER = Endpoint("192.168.1.102", 5060), Endpoint("198.51.100.10", 5060)
TAPS = ["phone", "router/inside", "router/outside", "registrar"]


def traced(model: str, scenario: str) -> Trace:
    return run(TrialSpec("home", model, scenario=scenario))[1]


def read(path: Path) -> list[Any]:
    # Without the layers scapy knows no packets. It takes long to import: only here.
    import scapy.layers.inet
    import scapy.layers.inet6  # noqa: F401
    from scapy.utils import rdpcap

    return list(rdpcap(str(path)))


def name(packet: Any) -> str:
    shown = packet.sniffed_on
    return shown.decode() if isinstance(shown, bytes) else str(shown)


def comment(packet: Any) -> str:
    # scapy 2.6 knows one comment, later versions a list of them.
    found = getattr(packet, "comments", None) or [getattr(packet, "comment", None) or b""]
    return bytes(found[0]).decode()


def tshark(path: Path, *fields: str, only: str = "") -> list[list[str]]:
    """The fields of the packets that a display filter lets through."""
    program = shutil.which("tshark")
    if program is None:
        missing("tshark is not installed: no program but scapy has read the captures")
    command = [program, "-n", "-r", str(path), "-T", "fields", "-E", "separator=/t"]
    command += [part for field in fields for part in ("-e", field)] + (["-Y", only] if only else [])
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def broken_register(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trace, Path]:
    trace = traced("semicolon-loss", "register")
    path = tmp_path_factory.mktemp("captures") / "register.pcapng"
    pcapng.write(trace, path)
    return trace, path


def sightings(trace: Trace) -> list[tuple[str, bytes]]:
    return [(each.tap, each.payload) for each in trace.datagrams()]


def test_every_datagram_is_on_the_interface_of_its_tap(broken_register: tuple[Trace, Path]) -> None:
    trace, path = broken_register
    packets = read(path)
    assert [(name(each), bytes(each["UDP"].payload)) for each in packets] == sightings(trace)
    assert list(dict.fromkeys(name(each) for each in packets)) == TAPS


def test_lengths_and_checksums_are_right(broken_register: tuple[Trace, Path]) -> None:
    packets = read(broken_register[1])
    assert packets
    assert [each for packet in packets for each in ip.verify(bytes(packet))] == []


def test_times_are_the_trials(broken_register: tuple[Trace, Path]) -> None:
    trace, path = broken_register
    assert [float(each.time) for each in read(path)] == [each.now for each in trace.datagrams()]


def test_times_are_not_rounded_down(tmp_path: Path) -> None:
    # In binary, 1.001 s and 1.003 s are a little less than that many microseconds.
    trace = Trace()
    times = [0.0, 1.001, 1.003, 5_000.02]
    for now in times:
        trace.add(Sent(now, "phone", PHONE, SERVER, b"x"))
    pcapng.write(trace, tmp_path / "times.pcapng")
    assert [float(each.time) for each in read(tmp_path / "times.pcapng")] == pytest.approx(times, abs=1e-9)


def test_a_changed_message_says_what_was_changed_and_what_that_breaks(
    broken_register: tuple[Trace, Path],
) -> None:
    first = {
        name(each): comment(each)
        for each in reversed(read(broken_register[1]))
        if b"REGISTER sip" in bytes(each)
    }
    assert first == {
        "phone": "",
        "router/inside": "",
        "router/outside": "changed by the ALG: Via, Contact; breaks RFC 3261 25.1 (via-missing-semicolon): "
        "`rport` follows host and port without a `;`.",
        "registrar": "",
    }


def test_every_change_carries_a_comment(broken_register: tuple[Trace, Path]) -> None:
    trace, path = broken_register
    changed = sum(emission.changed for each in trace.passages for emission in each.emissions)
    assert changed > 0
    assert sum(comment(each).startswith("changed by the ALG: Via") for each in read(path)) == changed


def test_without_an_alg_there_is_nothing_to_say(tmp_path: Path) -> None:
    trace = traced("none", "register")
    pcapng.write(trace, tmp_path / "none.pcapng")
    packets = read(tmp_path / "none.pcapng")
    assert len(packets) == len(sightings(trace)) > 0
    assert {comment(each) for each in packets} == {""}


def test_a_dropped_packet_says_why(tmp_path: Path) -> None:
    trace = traced("none", "incoming-call(idle=70)")
    pcapng.write(trace, tmp_path / "dropped.pcapng")
    said = {(name(each), comment(each)) for each in read(tmp_path / "dropped.pcapng") if comment(each)}
    assert said == {
        ("router/outside", "dropped by router: no binding: 198.51.100.10:5060 to public port 61002")
    }


def test_the_same_trace_gives_the_same_bytes(tmp_path: Path) -> None:
    for number in range(2):
        pcapng.write(traced("semicolon-loss", "outgoing-call"), tmp_path / str(number))
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()


def test_an_older_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "old.pcapng"
    path.write_bytes(b"x" * 100_000)
    pcapng.write(Trace(), path)
    assert read(path) == []


def test_one_hop_more_lies_behind_a_router(broken_register: tuple[Trace, Path]) -> None:
    lives = {
        name(each): each.ttl for each in reversed(read(broken_register[1])) if b"REGISTER sip" in bytes(each)
    }
    assert lives["router/inside"] - lives["router/outside"] == 1


# -- packets that scenarios do not have --------------------------------------------------------------


class Break:
    """A step that fails on every message."""

    def apply(self, message: SipMessage, context: Context) -> None:
        raise RuntimeError("a fault in the model")


def gateway(*steps: Any) -> Gateway:
    model = Model(id="test", card=Card(summary="For tests.", kind="fault"), recipe=Recipe(last=steps))
    return Gateway(
        model,
        public_ip="203.0.113.7",
        inside_networks=["192.168.1.0/24"],
        inside_addresses=["192.168.1.1"],
        rng=random.Random(1),
    )


def through(router: Gateway, *packets: bytes) -> Trace:
    trace = Trace()
    for packet in packets:
        trace.add(Passage(0.0, "router", Side.INSIDE, packet, router.handle(packet, Side.INSIDE, 0.0)))
    return trace


REQUEST = b"OPTIONS sip:lab.test SIP/2.0\r\nContent-Length: 0\r\n\r\n"


def said(trace: Trace, path: Path) -> list[tuple[str, str]]:
    pcapng.write(trace, path)
    return [(name(each), comment(each)) for each in read(path)]


def test_what_a_model_raised_is_told_once(tmp_path: Path) -> None:
    trace = through(gateway(Break()), ip.udp(PHONE, SERVER, REQUEST))
    assert said(trace, tmp_path / "error.pcapng") == [
        ("router/inside", ""),
        (
            "router/outside",
            "the model raised RuntimeError: a fault in the model; passed with addresses translated only",
        ),
    ]


def test_a_fragment_that_waits_is_not_called_dropped(tmp_path: Path) -> None:
    whole = ip.udp(PHONE, SERVER, REQUEST + b"x" * 2000, dont_fragment=False)
    trace = through(gateway(), *fragmented(whole, 1500, identification=1))
    assert said(trace, tmp_path / "fragments.pcapng") == [
        ("router/inside", "router: fragment kept until the datagram is whole"),
        ("router/inside", ""),
        ("router/outside", ""),
    ]


def test_a_router_that_answers_itself_says_so(tmp_path: Path) -> None:
    trace = through(gateway(), ip.udp(PHONE, SERVER, REQUEST, ttl=1))
    assert said(trace, tmp_path / "ttl.pcapng") == [
        ("router/inside", "answered by router: TTL ends here"),
        ("router/inside", "made by the router: TTL ends here"),
    ]


def test_what_reached_nobody_is_there_too(tmp_path: Path) -> None:
    trace = Trace()
    trace.add(Lost(2.0, "internet", ip.udp(SERVER, PHONE, b"x"), LossReason.NO_ROUTE, "no route"))
    assert said(trace, tmp_path / "lost.pcapng") == [("lost", "lost at internet: no route")]


def test_a_datagram_that_no_packet_holds_is_left_out(tmp_path: Path) -> None:
    trace = Trace()
    trace.add(Sent(0.0, "phone", PHONE, SERVER, bytes(65_508)))
    trace.add(Received(0.0, "registrar", SERVER, PHONE, bytes(65_507)))
    assert said(trace, tmp_path / "large.pcapng") == [("registrar", "")]


def test_ipv6_is_written_as_ipv6(tmp_path: Path) -> None:
    trace = Trace()
    trace.add(Sent(0.0, "phone", Endpoint("2001:db8::1", 5060), Endpoint("2001:db8::2", 5060), b"x"))
    pcapng.write(trace, tmp_path / "six.pcapng")
    assert [each["IPv6"].src for each in read(tmp_path / "six.pcapng")] == ["2001:db8::1"]


# -- tshark --------------------------------------------------------------------------------------------


def test_tshark_counts_the_same_packets_per_tap(broken_register: tuple[Trace, Path]) -> None:
    trace, path = broken_register
    rows = tshark(path, "frame.interface_name")
    assert Counter(row[0] for row in rows) == Counter(tap for tap, _ in sightings(trace))


def test_tshark_dissects_the_changed_message_beside_its_comment(broken_register: tuple[Trace, Path]) -> None:
    rows = tshark(
        broken_register[1],
        "frame.interface_name", "sip.Method", "frame.comment", "sip.contact.uri",
        only="frame.comment && sip.Method",
    )  # fmt: skip
    assert rows
    for tap, method, text, contact in rows:
        assert (tap, method) == ("router/outside", "REGISTER")
        assert "breaks RFC 3261 25.1" in text
        assert "203.0.113.7:61002" in contact


def test_tshark_finds_nothing_malformed_in_the_packets(broken_register: tuple[Trace, Path]) -> None:
    # SIP may well be malformed here; what is below it may not.
    path = broken_register[1]
    assert tshark(path, "frame.number", only="ip && udp")
    assert tshark(path, "frame.number", only="_ws.malformed || ip.checksum.status == 0 || !udp") == []


def test_tshark_knows_directions(broken_register: tuple[Trace, Path]) -> None:
    inbound, outbound = "1", "2"
    rows = tshark(
        broken_register[1], "frame.interface_name", "frame.packet_flags_direction", only="sip.Method"
    )
    assert {(row[0], str(int(row[1], 0))) for row in rows} == {
        ("phone", outbound),
        ("router/inside", inbound),
        ("router/outside", outbound),
        ("registrar", inbound),
    }
