"""What a reader of a ladder gets to see: every message, every change, every drop, and the outcome."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from siplab.experiments.output.ladder import as_text, render
from siplab.experiments.trial.pairs import STRICT
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.run import network, run
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Check, Finding
from siplab.lab.gateway.alg import Card, Context, Dropped, Model, Recipe
from siplab.lab.gateway.gateway import Side
from siplab.lab.sip.base import Action, Agent, Listen, Send
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.topology import Topology
from siplab.lab.worlds.trace import Passage, Remark, Sent, Trace, WorldEvent


def shown(model: str, width: int = 100, **what: str) -> str:
    result, trace = run(TrialSpec("home", model, **what).between(STRICT))  # type: ignore[arg-type]
    return as_text(result, trace, network("home"), width)


def rows(text: str) -> list[str]:
    """The ladder's rows with arrows or words: from the names of the columns to the first empty line."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip().startswith("seconds"))
    return lines[start + 1 : lines.index("", start)]


@pytest.fixture(scope="module")
def broken_register() -> str:
    return shown("semicolon-loss", scenario="register")


# -- whole trials --------------------------------------------------------------------------------------


def test_columns_are_in_path_order(broken_register: str) -> None:
    header = next(line for line in broken_register.splitlines() if "seconds" in line)
    assert header.split() == ["seconds", "phone", "router", "registrar"]


def test_a_row_runs_from_sender_to_receiver_with_its_change(broken_register: str) -> None:
    first, second = rows(broken_register)[:2]
    assert re.fullmatch(r"    0\.000 +o-+\*1-+>\| +REGISTER x11 until 31\.500 \(sent again\)", first)
    assert re.match(r"    0\.000 +\|<-+\*2-+o +400 Bad Request", second)


def test_a_change_shows_the_lines_before_and_after_and_the_rule(broken_register: str) -> None:
    change = broken_register[broken_register.index("What was changed on the way") :]
    branch = re.search(r"branch=\w+", change)
    assert branch is not None
    for line in (
        "*1  REGISTER, phone to registrar, changed by router at 0.000; likewise in 10 more",
        "    parts: Via, Contact",
        f"    before  Via: SIP/2.0/UDP [-192.168.1.102-]:[-5060;-]rport;{branch[0]}",
        f"    after   Via: SIP/2.0/UDP {{+203.0.113.7+}}:{{+61002+}}rport;{branch[0]}",
        "    before  Contact: <sip:alice@[-192.168.1.102-]:[-5060-]>",
        "    after   Contact: <sip:alice@{+203.0.113.7+}:{+61002+}>",
        "    breaks RFC 3261 25.1: `rport` follows host and port without a `;`.",
    ):
        assert line in change.splitlines()


def test_what_was_broken_before_is_not_held_against_the_way_back(broken_register: str) -> None:
    back = broken_register[broken_register.index("\n*2 ") :]
    assert "breaks no further rule of syntax" in back
    assert "breaks RFC" not in back


def test_failed_checks_show_their_symptom(broken_register: str) -> None:
    assert "    FAIL  registered: The phone shows that it is not registered;" in broken_register
    assert "pass " not in broken_register


def test_repetitions_are_one_row_and_sending_again_is_told_from_sending(broken_register: str) -> None:
    requests = [row for row in rows(broken_register) if "  REGISTER" in row]
    assert [row.partition("REGISTER")[2] for row in requests] == [" x11 until 31.500 (sent again)"]
    renewals = [row for row in rows(shown("none", scenario="re-register")) if "REGISTER x" in row]
    assert not any("(sent again)" in row for row in renewals)


def test_the_outcome_comes_first(broken_register: str) -> None:
    assert broken_register.startswith("Fails: 2 of 2 checks\n    FAIL  registered: ")
    assert broken_register.index("FAIL") < broken_register.index("seconds")
    assert shown("none", scenario="register").startswith("Works\n    pass  registered")


def test_the_outcome_alone() -> None:
    result, trace = run(TrialSpec("home", "none", scenario="register"))
    file = io.StringIO()
    render(result, trace, network("home"), Console(file=file, width=100), brief=True)
    assert file.getvalue() == "Works\n"


def test_without_an_alg_nothing_is_marked() -> None:
    text = shown("none", scenario="register")
    assert not re.search(r"\*\d|\[-|\{\+|breaks|parts:", text)
    assert "No message was changed on the way." in text
    assert re.fullmatch(r"    0\.000 +o-+\+-+>\| +REGISTER", rows(text)[0])
    assert "    pass  registered" in text


def test_a_drop_is_at_the_router_with_its_reason() -> None:
    text = shown("none", width=140, scenario="incoming-call(idle=70)")
    lines = rows(text)
    dropped = [number for number, line in enumerate(lines) if re.search(r"\| +X-+o", line)]
    assert len(dropped) == 1
    assert re.match(r"   71\.000 .* INVITE with SDP x7 until [\d.]+ \(sent again\)", lines[dropped[0]])
    reason = "X dropped by router: no binding: 198.51.100.10:5060 to public port 61002"
    assert [line for line in lines if reason in line] == [lines[dropped[0] + 1]]


def test_media_is_counted_between_messages() -> None:
    media = [row for row in rows(shown("correct", scenario="outgoing-call")) if "RTP" in row]
    assert sum(int(found) for row in media for found in re.findall(r"RTP x(\d+)", row)) == 4002
    assert any(re.search(r"o-+\+-+>\| +RTP x2001 until 42\.\d", row) for row in media)


def test_the_same_change_has_the_same_number() -> None:
    text = shown("correct", scenario="outgoing-call")
    marks = re.findall(r"\*(\d+)", "\n".join(rows(text)))
    described = re.findall(r"^\*(\d+) .*?(?:likewise in (\d+) more)?$", text, re.MULTILINE)
    assert [int(number) for number, _ in described] == list(range(1, len(described) + 1))
    assert {number: marks.count(number) for number in marks} == {
        number: 1 + int(more or 0) for number, more in described
    }
    assert len(described) < len(marks)


def test_a_detectors_finding_stands_below() -> None:
    text = shown("semicolon-loss", detector="mirror")
    after = text[text.index("What the detector mirror found") :]
    assert after.splitlines()[1].startswith("    alg: Via,")


def test_errors_and_details_of_the_result_are_shown() -> None:
    spec = TrialSpec("home", "none", detector="mirror")
    finding = Finding("undecided", ("Via",), "no image")
    result = TrialResult(
        spec, "simulated", [Check("rings", True, "no", "at once")], finding, ["packets were lost"]
    )
    text = as_text(result, Trace(), network("home"))
    for words in (
        "pass  rings (at once)",
        "undecided: Via changed (no image)",
        "The trial is invalid",
        "packets were lost",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("model", "scenario"),
    [("semicolon-loss", "register"), ("correct", "outgoing-call"), ("none", "incoming-call(idle=70)")],
)
@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_console(model: str, scenario: str, width: int) -> None:
    text = shown(model, width, scenario=scenario)
    assert [line for line in text.splitlines() if len(line) > width] == []
    assert len(rows(text)) >= 3


# -- colour ----------------------------------------------------------------------------------------------


def printed(**options: Any) -> str:
    result, trace = run(TrialSpec("home", "semicolon-loss", scenario="register").between(STRICT))
    file = io.StringIO()
    render(result, trace, network("home"), Console(file=file, width=100, **options))
    return file.getvalue()


def test_colour_stands_for_the_markers() -> None:
    coloured = printed(force_terminal=True, color_system="standard")
    assert "[-" not in coloured
    assert "{+" not in coloured
    assert re.search(r"\x1b\[[\d;]+m5060;\x1b\[0m", coloured)


@pytest.mark.parametrize(
    "options",
    [
        {"force_terminal": False, "color_system": None},
        {"force_terminal": True, "color_system": "standard", "no_color": True},
    ],
)
def test_without_colour_there_are_markers(options: dict[str, Any]) -> None:
    assert "[-5060;-]" in printed(**options)


def test_colour_or_not_the_words_are_the_same() -> None:
    bare = re.sub(r"\x1b\[[\d;]*m", "", printed(force_terminal=True, color_system="standard"))
    plain = re.sub(r"\[-|-\]|\{\+|\+\}", "", printed(color_system=None))
    assert bare == plain


# -- networks and packets that scenarios do not have ---------------------------------------------------------


class Quiet(Agent):
    """Listens at some ports and says nothing."""

    def __init__(self, *ports: Endpoint) -> None:
        super().__init__()
        self._ports = ports

    def start(self, now: float) -> list[Action]:
        return [Listen(port) for port in self._ports]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        return []


class DropAll:
    """A step that lets no message pass."""

    def apply(self, message: SipMessage, context: Context) -> None:
        raise Dropped("not on my watch")


class Fail:
    """A step that fails on every message."""

    def apply(self, message: SipMessage, context: Context) -> None:
        raise RuntimeError("a fault in the model")


class Shout:
    """A step that changes the start line."""

    def apply(self, message: SipMessage, context: Context) -> None:
        message.start_line = message.start_line.replace(b"a.test", b"b.test")


REQUEST = (
    b"OPTIONS sip:a.test SIP/2.0\r\nVia: SIP/2.0/UDP a.test;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
    b"From: <sip:a@a.test>;tag=1\r\nTo: <sip:b@a.test>\r\nCall-ID: 1\r\n"
    b"CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)

TWO_HOMES: dict[str, Any] = {
    "id": "two-homes",
    "summary": "Two homes, the first behind a second router.",
    "networks": {
        "lan": {"subnet": "192.168.1.0/24"},
        "block": {"subnet": "10.0.0.0/24"},
        "wan": {"subnet": "203.0.113.0/24"},
        "far-wan": {"subnet": "192.0.2.0/24"},
        "far-lan": {"subnet": "192.168.7.0/24"},
        "provider": {"subnet": "198.51.100.0/24"},
    },
    "hosts": {
        "phone": {"network": "lan", "address": "192.168.1.102"},
        "laptop": {"network": "lan", "address": "192.168.1.103"},
        "registrar": {"network": "provider", "address": "198.51.100.10"},
        "far-phone": {"network": "far-lan", "address": "192.168.7.5"},
        "neighbour": {"network": "block", "address": "10.0.0.9"},
    },
    "routers": {
        "carrier": {"inside": {"block": "10.0.0.1"}, "outside": {"wan": "203.0.113.7"}},
        "far-router": {"inside": {"far-lan": "192.168.7.1"}, "outside": {"far-wan": "192.0.2.9"}},
        "router": {"inside": {"lan": "192.168.1.1"}, "outside": {"block": "10.0.0.2"}},
        "internet": {
            "interfaces": {"wan": "203.0.113.1", "far-wan": "192.0.2.1", "provider": "198.51.100.1"}
        },
    },
}


def played(
    topology: dict[str, Any] | None, sends: Sequence[tuple[str, str, bytes]], *steps: Any, width: int = 120
) -> str:
    """The ladder of ``(from, to, payload)`` datagrams; every host listens at port 5060."""
    net = network("home") if topology is None else Network(Topology.model_validate(topology))
    model = Model(id="test", card=Card(summary="For tests."), recipe=Recipe(last=steps))
    world = SimulatedWorld(net, dict.fromkeys(net.gateways, model), 1)
    agents = {}
    for name, host in net.topology.hosts.items():
        agents[name] = Quiet(Endpoint(host.address, 5060))
        world.add(name, agents[name])
    for sender, to, payload in sends:
        local = Endpoint(net.topology.hosts[sender].address, 5060)
        address, _, port = to.partition(":")
        world.perform(agents[sender], [Send(local, Endpoint(address, int(port or 5060)), payload)])
        world.idle(1.0)
    result = TrialResult(TrialSpec("test", "test", scenario="test"), "simulated")
    return as_text(result, world.trace, net, width)


def test_columns_of_two_homes_are_mirrored() -> None:
    sends = [(name, "198.51.100.10", REQUEST) for name in ("phone", "far-phone")]
    text = played(TWO_HOMES, sends, width=140)
    header = next(line for line in text.splitlines() if "seconds" in line)
    assert header.split() == ["seconds", "phone", "router", "carrier", "registrar", "far-router", "far-phone"]
    near, far = rows(text)
    assert re.search(r"o-+\+-+\+-+>\|  +\|  +\|", near)
    assert re.search(r"\|  +\|  +\|  +\|<-+\+-+o", far)


def test_names_that_are_wider_than_columns_stand_by_turns() -> None:
    text = played(TWO_HOMES, [("far-phone", "198.51.100.10", REQUEST)], width=90)
    above, below = text.splitlines()[2:4]
    assert above.split() == ["router", "registrar", "far-phone"]
    assert below.split() == ["seconds", "carrier", "far-router"]


def test_each_router_on_the_way_has_its_own_mark() -> None:
    class Count:
        def apply(self, message: SipMessage, context: Context) -> None:
            field = message.get(b"max-forwards")
            assert field is not None
            field.value = b"%d" % (int(field.value) - 1)

    text = played(TWO_HOMES, [("phone", "198.51.100.10", REQUEST)], Count())
    assert re.search(r"o-+\*1-+\*2-+>\|", rows(text)[0])
    assert text.index("changed by router") < text.index("changed by carrier")
    assert "before  Max-Forwards: [-69-]" in text


def test_a_private_address_on_the_internet_leads_nowhere() -> None:
    row = rows(played(None, [("far-phone", "192.168.1.102:49170", b"\x80" + bytes(19))]))
    assert re.search(r"\|  +\|  +X-+o +RTP x1", row[0])
    assert "192.168.1.102:49170" in " ".join(row[1:])
    assert not re.search(r"[<>]", row[0])


def test_a_closed_port_is_marked_at_its_host() -> None:
    row = rows(played(None, [("far-phone", "198.51.100.10:9", b"\x80" + bytes(19))]))
    assert re.search(r"\|  +X-+o +RTP x1", row[0])
    assert "198.51.100.10:9 is unreachable (ICMP)" in row[1]


def test_a_packet_that_the_router_turns_round_takes_two_rows() -> None:
    hairpin = {
        "id": "hairpin",
        "summary": "A home whose router lets its phones reach each other at the public address.",
        "networks": {"lan": {"subnet": "192.168.1.0/24"}, "wan": {"subnet": "203.0.113.0/24"}},
        "hosts": {
            "phone": {"network": "lan", "address": "192.168.1.102"},
            "laptop": {"network": "lan", "address": "192.168.1.103"},
            "registrar": {"network": "wan", "address": "203.0.113.10"},
        },
        "routers": {
            "router": {
                "inside": {"lan": "192.168.1.1"},
                "outside": {"wan": "203.0.113.7"},
                "nat": {
                    "hairpinning": True,
                    "filtering": "endpoint-independent",
                    "port_allocation": "sequential",
                    "first_port": 61002,
                },
            },
        },
    }
    sends = [("laptop", "203.0.113.10", REQUEST), ("phone", "203.0.113.7:61002", REQUEST)]
    lines = rows(played(hairpin, sends))
    turned = next(number for number, line in enumerate(lines) if line.startswith("    1.000"))
    assert re.search(r" o-{26,}>\|  +\| +OPTIONS", lines[turned])
    assert re.search(r" \|  +\|<-+  +\| +hairpin", lines[turned + 1])


def test_an_alg_that_drops_says_so() -> None:
    row = rows(played(None, [("phone", "198.51.100.10", REQUEST)], DropAll()))
    assert re.search(r"o-+X  +\| +OPTIONS", row[0])
    assert row[1].endswith("X dropped by router's ALG: not on my watch")


def test_what_a_model_raised_is_told_once() -> None:
    text = played(None, [("phone", "198.51.100.10", REQUEST)], Fail(), width=160)
    assert text.count("a fault in the model") == 1


def test_a_large_message_in_fragments_is_one_row_with_its_change() -> None:
    large = REQUEST.replace(b"CSeq", b"X-Large: " + b"x" * 3000 + b"\r\nCSeq")
    text = played(None, [("phone", "198.51.100.10", large)], Shout())
    assert re.search(r"o-+\*1-+>\| +OPTIONS$", rows(text)[0])
    assert len(rows(text)) == 1
    assert "before  OPTIONS sip:[-a-].test SIP/2.0" in text


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"\x80" + bytes(11), "RTP x1"),
        (b"\x80\xc8" + bytes(10), "RTCP x1"),
        (b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), "STUN x1"),
        (b"\r\n\r\n", "keep-alive x1"),
        (b"", "keep-alive x1"),
        (b"hello", "datagram x1"),
        (REQUEST, "OPTIONS"),
        (REQUEST + b"v=0\r\n", "OPTIONS with SDP"),
        (b"SIP/2.0 486 Busy Here\r\nCSeq: 1 INVITE\r\n\r\n", "486 Busy Here (INVITE)"),
        (b"SIP/2.0 486\r\n\r\n", "486 (CSeq unreadable)"),
        (b"SIP/2.0 200 \x1b[31m\r\nCSeq: 1 INVITE\r\n\r\n", "200 \\x1b[31m (INVITE)"),
    ],
)
def test_the_words_for_a_packet(payload: bytes, words: str) -> None:
    assert rows(played(None, [("phone", "198.51.100.10", payload)]))[0].endswith("| " + " " * 6 + words)


def entering(*packets: tuple[bytes, Side]) -> str:
    """The ladder of packets that programs unknown to the lab send through the home's router."""
    net = network("home")
    model = Model(id="test", card=Card(summary="For tests."), recipe=Recipe(last=(Shout(),)))
    router = SimulatedWorld(net, {"router": model}, 1).gateways["router"]
    trace = Trace()
    for packet, side in packets:
        trace.add(Passage(0.0, "router", side, packet, router.handle(packet, side, 0.0)))
    return as_text(TrialResult(TrialSpec("test", "test"), "simulated"), trace, net)


PHONE, SERVER = Endpoint("192.168.1.102", 5060), Endpoint("198.51.100.10", 5060)


def test_programs_that_are_no_agents_have_rows_too() -> None:
    text = entering((ip.udp(PHONE, SERVER, REQUEST), Side.INSIDE))
    assert re.search(r" o-+\*1-+>\| +OPTIONS$", rows(text)[0])


def test_what_the_router_holds_back_is_not_lost() -> None:
    public = Endpoint("203.0.113.7", 61002)
    text = entering(
        (ip.tcp(PHONE, SERVER, seq=99, flags=ip.SYN), Side.INSIDE),
        (ip.tcp(SERVER, public, seq=499, ack=100, flags=ip.SYN | ip.ACK), Side.OUTSIDE),
        (ip.tcp(PHONE, SERVER, REQUEST[:60], seq=100, ack=500), Side.INSIDE),
        (ip.tcp(PHONE, SERVER, REQUEST[60:], seq=160, ack=500), Side.INSIDE),
    )
    lines = rows(text)
    assert re.search(r" o-+>\|  +\| +OPTIONS$", lines[2])
    assert lines[3].endswith("router: held bytes acknowledged")
    assert re.search(r" \|<-+o  +\| +TCP x1$", lines[4])
    assert re.search(r" o-+\*1-+>\| +TCP x1$", lines[5])
    assert "no comparison" in text
    assert "X" not in text


def test_a_packet_that_no_router_has_seen_is_not_drawn_behind_it() -> None:
    trace = Trace()
    trace.add(Sent(0.0, "phone", PHONE, SERVER, REQUEST))
    text = as_text(TrialResult(TrialSpec("test", "test"), "simulated"), trace, network("home"))
    assert re.search(r" o-+>  +\|  +\| +OPTIONS$", rows(text)[0])


def test_bytes_that_are_no_packet_end_at_the_router() -> None:
    lines = rows(entering((b"\x45\x00junk", Side.OUTSIDE)))
    assert re.search(r" X +bytes that are no packet x1$", lines[0])
    assert "malformed packet" in lines[1]


def test_the_routers_own_answer_is_a_row_of_its_own() -> None:
    lines = rows(entering((ip.udp(PHONE, SERVER, REQUEST, ttl=1), Side.INSIDE)))
    assert re.search(r" o-+X +\| +OPTIONS$", lines[0])
    assert lines[1].endswith("X answered by router: TTL ends here")
    assert re.search(r" \|<-+o +\| +ICMP time exceeded x1$", lines[2])


def test_an_icmp_error_is_told_once() -> None:
    text = played(None, [("phone", "192.168.1.1:9", b"x")])
    assert text.count("unreachable") == 1  # the row of the ICMP error itself


def test_something_noticed_stands_between_the_rows() -> None:
    trace = Trace()
    trace.add(Remark(1.0, "phone", WorldEvent.NOT_SENT, "no address"))
    result = TrialResult(TrialSpec("home", "none", scenario="register"), "simulated")
    assert rows(as_text(result, trace, network("home")))[0].endswith("phone: not-sent: no address")
