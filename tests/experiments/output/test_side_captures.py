"""Captures of either side: each message once, all media, and Wireshark's figures are those of the checks."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from siplab.experiments.explain import explained
from siplab.experiments.output.side_captures import REBUILT, Media, packets_by_side, write
from siplab.experiments.output.viewing import view
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.wire import ip
from siplab.lab.worlds.flows import FlowKeeper
from siplab.lab.worlds.impaired_flows import ImpairedFlows
from siplab.lab.worlds.trace import Trace, looks_like_sip
from tests.conftest import missing

Row = tuple[str, float, bytes]


def rows(spec: TrialSpec, media: Media = "all") -> list[Row]:
    result, trace = trial.run(spec)
    assert result.errors == []
    found = packets_by_side(trace, trial.network_of(spec), media)
    return sorted((side, round(each.now, 6), each.packet) for side, some in found.items() for each in some)


@pytest.mark.parametrize(
    "spec",
    [
        TrialSpec("home", "correct", "outgoing-call(duration=5)"),
        TrialSpec(
            "home", "sdp-c-only", "outgoing-call(duration=5)", server="hosted(latch=untrusted)"
        ),  # relayed, and dropped
        TrialSpec("home", "none", "hold(pause=5)"),
        TrialSpec("home", "none", "dtmf"),
        TrialSpec("home", "none", "fax"),
        TrialSpec("home", "none", "video"),
        TrialSpec("alg-behind-alg", "none", "outgoing-call(duration=5)"),
    ],
    ids=lambda spec: f"{spec.topology}-{spec.model}-{spec.scenario}",
)
def test_rebuilt_packets_are_those_that_carrying_them_gives(
    spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = rows(spec)
    monkeypatch.setattr(FlowKeeper, "skip", lambda *arguments: None)
    assert some == rows(spec)


@pytest.mark.parametrize(
    "spec",
    [
        TrialSpec("lossy", "none", "outgoing-call(duration=20)"),
        TrialSpec("lossy", "none", "outgoing-call(duration=10)", server="rport-aware"),
        TrialSpec("lossy(duplicate=0.5)", "none", "outgoing-call(duration=5)", server="hosted"),
        TrialSpec("home(delay=0.02,loss=0.05)", "none", "fax"),
    ],
    ids=lambda spec: f"{spec.topology}-{spec.server}-{spec.scenario}",
)
def test_on_a_bad_line_each_is_rebuilt_with_its_own_fate(
    spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = rows(spec)
    monkeypatch.setattr(ImpairedFlows, "plan", lambda *arguments: None)
    assert some == rows(spec)


def test_each_message_is_there_once_per_side() -> None:
    result, trace = trial.run(TrialSpec("home", "correct", "outgoing-call"))
    found = packets_by_side(trace, trial.network_of(result.spec))
    assert set(found) == {"inside", "outside"}
    said = Counter(
        payload
        for each in trace.records
        if looks_like_sip(payload := getattr(each, "payload", b"")) and type(each).__name__ == "Sent"
    )
    for packets in found.values():
        messages = Counter(
            packet.payload for each in packets if looks_like_sip((packet := ip.parse(each.packet)).payload)
        )
        assert all(count == 1 for payload, count in messages.items() if said[payload] == 1)
    inside = [each for each in found["inside"] if looks_like_sip(ip.parse(each.packet).payload)]
    assert len(inside) == len(
        [each for each in trace.passages if looks_like_sip(ip.parse(each.packet).payload)]
    )


def test_what_is_rebuilt_or_left_out_says_so() -> None:
    spec = TrialSpec("home", "none", "outgoing-call(duration=400)")
    _, trace = trial.run(spec)
    network = trial.network_of(spec)
    short, everything = (packets_by_side(trace, network, media)["inside"] for media in ("short", "all"))
    assert not any(each.comment.startswith(REBUILT) for each in short)
    assert any("packets of the same stream until" in each.comment for each in short)
    assert sum(each.comment.startswith(REBUILT) for each in everything) > 39_000
    assert not any("left out" in each.comment for each in everything)


def test_what_is_encrypted_is_not_made_up() -> None:
    pytest.importorskip("cryptography")
    spec = TrialSpec("home", "none", "srtp-call")
    _, trace = trial.run(spec)
    some = packets_by_side(trace, trial.network_of(spec), "all")["inside"]
    assert any("left out here: " in each.comment and ", being encrypted" in each.comment for each in some)
    assert not any(each.comment.startswith(REBUILT) for each in some)


# -- tshark ------------------------------------------------------------------------------------------------


def statistics(path: Path, kind: str) -> str:
    if shutil.which("tshark") is None:
        missing("tshark is not installed: nobody but siplab has read the captures")
    command = ["tshark", "-n", "-q", "-r", str(path), "-z", kind]
    # A capture says at which ports the calls of the lab have media: its SDP may be what a router broke.
    for port in ("40000", "49170"):
        command += ["-d", f"udp.port=={port},rtp"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def streams(path: Path) -> dict[tuple[str, str], tuple[int, int]]:
    """By source and destination: packets, and how many are missing, as tshark counts them."""
    line = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+(\S+)\s+(\d+)\s+(\S+)\s+(\d+)\s+0x\w+\s+.*?(\d+)\s+(-?\d+) \(")
    found = {}
    for each in statistics(path, "rtp,streams").splitlines():
        if match := line.match(each):
            found[match[1], match[3]] = int(match[5]), int(match[6])
    return found


def captured(tmp_path: Path, spec: TrialSpec) -> tuple[TrialResult, Trace, dict[str, Path]]:
    result, trace = trial.run(spec)
    return result, trace, write(trace, trial.network_of(spec), tmp_path / "x.pcapng")


def test_tshark_finds_no_loss_and_nothing_resent_in_a_healthy_call(tmp_path: Path) -> None:
    # Media straight from phone to phone: nobody relays them.
    spec = TrialSpec("home", "correct", "outgoing-call", phone="plain", server="rport-aware")
    result, _, files = captured(tmp_path, spec)
    sent = {each.who: each.sent for each in result.media}
    phone = {"inside": "192.168.1.102", "outside": "203.0.113.7"}
    for side, path in files.items():
        found = streams(path)
        assert found[phone[side], "198.51.100.20"] == (sent["alice"], 0)
        assert found["198.51.100.20", phone[side]] == (sent["bob"], 0)
        assert "Number of resent SIP messages: 0" in statistics(path, "sip,stat")


def test_tshark_sees_the_one_way_audio_that_the_check_tells(tmp_path: Path) -> None:
    spec = TrialSpec("home", "sdp-c-only", "outgoing-call", server="hosted(latch=untrusted)")
    result, _, files = captured(tmp_path, spec)
    heard = {each.who: (each.sent, each.received) for each in result.media}
    assert heard["alice"][1] == 0
    inside = streams(files["inside"])
    assert {source for source, _ in inside} == {"192.168.1.102"}  # nothing comes in
    assert sum(count for count, _ in inside.values()) == heard["alice"][0]
    to_router = [count for (_, to), count in streams(files["outside"]).items() if to == "203.0.113.7"]
    assert to_router == [(heard["bob"][0], 0)]  # it came as far as the router


def test_tshark_counts_the_loss_of_a_network_as_the_receiver_does(tmp_path: Path) -> None:
    spec = TrialSpec("home(loss=0.05)", "none", "outgoing-call(duration=10)")
    result, _, files = captured(tmp_path, spec)
    alice = next(each for each in result.media if each.who == "alice")
    bob = next(each for each in result.media if each.who == "bob")
    assert alice.lost > 0
    # On the inside a packet is where the router let it go: what it lost behind that is not missing there.
    (found,) = (count for (source, _), count in streams(files["inside"]).items() if source != "192.168.1.102")
    assert found[0] >= alice.received
    assert found[0] + found[1] <= bob.sent


def test_comments_have_the_numbers_of_the_page() -> None:
    spec = TrialSpec("home", "sdp-c-only", "outgoing-call", server="hosted(latch=untrusted)")
    result, trace = trial.run(spec)
    shown = view(explained(result, trace), trace, trial.network_of(spec))
    (guilty,) = (each.cause.message for each in shown.checks if each.cause is not None)
    assert guilty is not None
    (altered,) = shown.message(guilty).altered
    for packets in packets_by_side(trace, trial.network_of(spec)).values():
        label = f"message {guilty}, change {altered.change}"
        (found,) = (each for each in packets if each.comment.split(";")[0] == label)
        assert ip.parse(found.packet).payload.startswith(b"INVITE")
