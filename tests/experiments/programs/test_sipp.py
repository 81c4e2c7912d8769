"""Real SIPp calls through the emulated router, with every fault: who notices, and what the wire shows.

SIPp is no strict endpoint: it knows its calls by their Call-ID and copies header fields into answers without
reading them. So of the faults it notices by itself only those that touch Call-ID. The strict callee of these
tests looks at Via, Contact and m= besides, by regular expressions.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from pathlib import Path

import pytest

from siplab.lab.worlds.emulated.bubble import Bubble
from tests.command import path_without, siplab
from tests.experiments.programs import sipp_calls
from tests.experiments.programs.sipp_calls import SippCall

PRIVATE, PUBLIC, REGISTRAR = b"192.168.1.102", b"203.0.113.7", b"198.51.100.10"
# For calls that come about; only a hang takes as long. And for those that can't.
LONG, SHORT = 20.0, 1.0
LENIENT, STRICT = "uas", "uas-strict"


@pytest.fixture
def call(bubble: Bubble, tmp_path: Path) -> Caller:
    return Caller(bubble, tmp_path)


class Caller:
    """``call(model)``: one call with that ALG in the router."""

    def __init__(self, bubble: Bubble, folder: Path) -> None:
        self._bubble = bubble
        self._folder = folder

    def __call__(
        self, model: str, callee: str = LENIENT, *, transport: str = "u1", succeeds: bool = True
    ) -> SippCall:
        patience = LONG if succeeds else SHORT
        made: SippCall = self._bubble.call(sipp_calls.call, model, callee, transport, patience, self._folder)
        assert made.problems == []
        assert (made.caller == 0) is succeeds, made.complaints
        return made


def line(message: bytes, name: bytes) -> bytes:
    """A line of a message: a header field or, as ``m=``, of its body."""
    return next(each for each in message.split(b"\r\n") if each.startswith(name))


def lines(messages: list[bytes], method: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes, bytes]:
    """Via, Contact, Call-ID, o=, c= and m= of the first message that begins so."""
    message = next(each for each in messages if each.startswith(method))
    names = (b"Via:", b"Contact:", b"Call-ID:", b"o=", b"c=", b"m=")
    found = [line(message, name) for name in names]
    return found[0], found[1], found[2], found[3], found[4], found[5]


def fits(message: bytes) -> bool:
    """Whether Content-Length is right."""
    head, _, body = message.partition(b"\r\n\r\n")
    return int(line(head, b"Content-Length:").partition(b":")[2]) == len(body)


pytestmark = pytest.mark.needs("emulated", "sipp")


# -- the controls ----------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["u1", "t1"])
def test_without_an_alg_nothing_changes(transport: str, call: Caller) -> None:
    made = call("none", STRICT, transport=transport)
    assert made.callee == 0
    assert [each.split(b" ")[0] for each in made.sent] == [b"INVITE", b"ACK", b"BYE"]
    assert made.forwarded == made.sent
    assert made.returned == made.answered
    assert PRIVATE in made.forwarded[0]


@pytest.mark.parametrize("transport", ["u1", "t1"])
def test_the_correct_alg(transport: str, call: Caller) -> None:
    """Its translation is invisible to both: each sees addresses that it can reach, and its own back."""
    made = call("correct", STRICT, transport=transport)
    assert made.callee == 0
    assert len(made.forwarded) == len(made.sent) == 3
    before, after = lines(made.sent, b"INVITE"), lines(made.forwarded, b"INVITE")
    via, contact, call_id, origin, connection, media = before
    assert b" 192.168.1.102:5060;" in via
    assert call_id.endswith(b"@192.168.1.102")
    port = re.search(rb":(\d+);", after[0])
    assert port is not None
    mapped = PUBLIC + b":" + port[1]
    assert after[0] == via.replace(PRIVATE + b":5060", mapped)
    assert after[1] == contact.replace(PRIVATE + b":5060", mapped)
    assert after[2] == call_id
    assert after[3] == origin.replace(PRIVATE, PUBLIC)
    assert after[4] == connection.replace(PRIVATE, PUBLIC) == b"c=IN IP4 203.0.113.7"
    assert re.fullmatch(rb"m=audio \d+ RTP/AVP 0", after[5])
    assert media == b"m=audio 49170 RTP/AVP 0" != after[5]
    for message in (*made.forwarded, *made.returned):
        assert fits(message)
    for message in made.forwarded:
        assert PRIVATE not in message.replace(call_id, b"")
    # And on the way back: the caller finds its own Via in the answers.
    for outside, inside in zip(made.answered, made.returned, strict=True):
        assert mapped in line(outside, b"Via:")
        assert b" 192.168.1.102:5060;" in line(inside, b"Via:")


# -- the faults ------------------------------------------------------------------------------------


def test_blind_ip_replace_fails_the_call(call: Caller) -> None:
    """The answer's Call-ID is not the one that was sent: SIPp throws it away."""
    made = call("blind-ip-replace", succeeds=False)
    before, after = lines(made.sent, b"INVITE"), lines(made.forwarded, b"INVITE")
    assert after == tuple(each.replace(PRIVATE, PUBLIC) for each in before)
    assert after[0].startswith(b"Via: SIP/2.0/UDP 203.0.113.7:5060;")  # not the mapped port
    assert after[2].endswith(b"@203.0.113.7")
    assert after[5] == b"m=audio 49170 RTP/AVP 0"
    assert PRIVATE not in made.forwarded[0]
    assert all(map(fits, made.forwarded))
    # Nothing is undone on the way back.
    assert made.returned == made.answered
    assert line(made.returned[0], b"Call-ID:") == after[2]


def test_blind_ip_replace_that_is_undone_goes_unnoticed(call: Caller) -> None:
    """SIPp calls the address and port that it was given, so the wrong one in Contact does not matter."""
    made = call("blind-ip-replace(reverse=true)")
    before, after = lines(made.sent, b"INVITE"), lines(made.forwarded, b"INVITE")
    assert after == tuple(each.replace(PRIVATE, PUBLIC) for each in before)
    assert line(made.returned[0], b"Call-ID:") == before[2]
    assert line(made.answered[0], b"Call-ID:") == after[2]


def test_semicolon_loss_fails_with_a_callee_that_reads_via(call: Caller) -> None:
    made = call("semicolon-loss", STRICT)
    assert made.callee == 1
    assert "Failed regexp match" in made.complaints
    before, after = lines(made.sent, b"INVITE"), lines(made.forwarded, b"INVITE")
    branch = before[0].partition(b";")[2]
    assert before[0] == b"Via: SIP/2.0/UDP 192.168.1.102:5060;" + branch
    assert re.fullmatch(rb"Via: SIP/2\.0/UDP 203\.0\.113\.7:\d+" + re.escape(branch), after[0])


def test_semicolon_loss_is_nothing_to_plain_sipp(call: Caller) -> None:
    """It copies Via into its answers unread, and the caller does not look at it either."""
    made = call("semicolon-loss")
    assert made.callee == 0
    for message in made.forwarded:
        assert b";" not in line(message, b"Via:")
        assert fits(message)


@pytest.mark.parametrize(
    ("model", "contact", "media", "noticed"),
    [
        ("port-overflow", 65536, 65536, True),
        ("port-overflow(mode=sum)", 5060 + 20832, 49170 + 20832, True),
        # Ports that could be right, but are not this phone's: only a call back would find out.
        ("port-overflow(mode=wrap)", 5060 + 20832, (49170 + 20832) % 65536, False),
    ],
)
def test_port_overflow(model: str, contact: int, media: int, noticed: bool, call: Caller) -> None:
    made = call(model, STRICT)
    assert made.callee == (1 if noticed else 0)
    assert ("Failed regexp match" in made.complaints) is noticed
    before, after = lines(made.sent, b"INVITE"), lines(made.forwarded, b"INVITE")
    assert b"sip:alice@192.168.1.102:5060;" in before[1]
    assert b"sip:alice@203.0.113.7:%d;" % contact in after[1]
    assert before[5] == b"m=audio 49170 RTP/AVP 0"
    assert after[5] == b"m=audio %d RTP/AVP 0" % media
    mapped = re.search(rb"203\.0\.113\.7:(\d+);", after[0])  # Via is right, so it tells the mapped port
    assert mapped is not None
    assert int(mapped[1]) != contact
    assert all(map(fits, made.forwarded))


def test_port_overflow_is_nothing_to_plain_sipp(call: Caller) -> None:
    made = call("port-overflow")
    assert made.callee == 0
    assert b":65536;" in line(made.forwarded[0], b"Contact:")


def test_call_id_rewrite_fails_the_call(call: Caller) -> None:
    made = call("call-id-rewrite", succeeds=False)
    before, after = lines(made.sent, b"INVITE"), lines(made.forwarded, b"INVITE")
    assert before[2].endswith(b"@192.168.1.102")
    assert after[2] == before[2].replace(PRIVATE, PUBLIC)
    assert line(made.returned[0], b"Call-ID:") == after[2]  # and not undone
    assert after[4] == b"c=IN IP4 203.0.113.7"  # all else is translated correctly
    # The answer reaches the caller, who sends its INVITE again: it does not know that call.
    assert made.returned
    assert len([each for each in made.sent if each.startswith(b"INVITE")]) > 1


# -- the command -----------------------------------------------------------------------------------


def test_sipp_by_the_command(tmp_path: Path) -> None:
    """As users run it: the callee beside, the caller in front, its status is the command's."""
    trace = tmp_path / "trace.jsonl"

    def sipp(scenario: str, address: str, *more: str) -> list[str]:
        file = str(sipp_calls.SCENARIOS / f"{scenario}.xml")
        return [
            "sipp",
            "-sf",
            file,
            "-m",
            "1",
            "-i",
            address,
            "-p",
            "5060",
            "-nostdin",
            "-timeout",
            "30",
            *more,
        ]

    # The callee may start later than the caller, who then sends its INVITE again.
    also = "registrar=" + shlex.join(sipp("uas", "198.51.100.10"))
    options = ["--model", "correct", "--trace", str(trace), "--also", also]
    done = siplab(
        "exec", "phone", *options, "--", *sipp("uac", "192.168.1.102", "198.51.100.10:5060"), process=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(row) for row in trace.read_text(encoding="utf-8").splitlines()]
    changed = [each for row in rows for each in row.get("emissions", []) if each.get("changed")]
    packets = [base64.b64decode(each["packet"]) for each in changed]
    assert any(b"Contact: <sip:alice@203.0.113.7:61002;" in packet for packet in packets)


def test_a_machine_without_sipp(tmp_path: Path) -> None:
    """All other programs are there, SIPp is not."""
    done = siplab("exec", "phone", "--", "sipp", "-v", PATH=path_without("sipp", tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "siplab: no program 'sipp' here: apt-get install sip-tester\n"
