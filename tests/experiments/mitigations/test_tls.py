"""TLS with certificates: a handshake on the wire, who is refused, and what a router sees of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from siplab.experiments.output import pcapng
from siplab.experiments.trial import determinism
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.sip.events import EventKind
from siplab.lab.wire import ip
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.trace import Noted, Passage, Trace
from tests.conftest import missing
from tests.lab.worlds import inside

WRONG = {"expired": "certificate has expired", "wrong-name": "lab.test", "untrusted": "issuer"}
HANDSHAKE, APPLICATION_DATA, ALERT = 22, 23, 21  # RFC 8446 section 5.1


def play(model: str, scenario: str, *mitigations: str) -> tuple[TrialResult, Trace]:
    result, trace = trial.run(TrialSpec("home", model, scenario, mitigations=mitigations))
    assert result.errors == []
    return result, trace


def records(trace: Trace, port: int) -> list[int]:
    """The content types of the records with which segments to and from that port begin."""
    found = []
    for each in trace:
        if isinstance(each, Passage):
            packet = ip.parse(each.packet)
            if port in (packet.source.port, packet.destination.port) and packet.payload:
                found.append(packet.payload[0])
    return found


def test_a_handshake_comes_first_and_then_nothing_is_readable() -> None:
    result, trace = play("none", "outgoing-call", "tls")
    assert result.outcome == "pass"
    types = records(trace, 5061)
    assert types[:2] == [HANDSHAKE, HANDSHAKE], "ClientHello and ServerHello"
    assert APPLICATION_DATA in types
    assert ALERT not in types
    assert all(b"SIP/2.0" not in each.packet for each in trace if isinstance(each, Passage))


@pytest.mark.parametrize("certificate", WRONG)
def test_a_wrong_certificate_is_refused(certificate: str) -> None:
    result, trace = play("none", "register", f"tls(certificate={certificate})")
    assert result.outcome == "fail"
    first = result.first_failure
    assert first is not None
    assert first.name == "registered"
    lost = [each for each in trace if isinstance(each, Noted) and each.kind is EventKind.TLS_FAILED]
    assert {each.host for each in lost} == {"phone", "registrar"}, "one refuses, the other is told"
    assert any(WRONG[certificate] in each.detail for each in lost)
    assert [each for each in trace if isinstance(each, Noted) and each.kind is EventKind.CHALLENGED] == [], (
        "no REGISTER arrived"
    )


@pytest.mark.parametrize("model", ["semicolon-loss", "blind-ip-replace", "sdp-c-only"])
def test_an_alg_is_blind_to_it(model: str) -> None:
    assert play(model, "register")[0].outcome == "fail" or model == "sdp-c-only"
    result, _ = play(model, "register", "tls")
    assert result.outcome == "pass"
    assert result.packets_changed == 0


def test_with_srtp_the_keys_go_by_tls() -> None:
    result, trace = play("semicolon-loss", "outgoing-call", "tls(media=srtp)")
    assert result.outcome == "pass"
    assert all(b"crypto:" not in each.packet for each in trace if isinstance(each, Passage))


def test_a_trial_says_that_its_bytes_are_not_to_be_compared() -> None:
    for mitigation, same in (("tls", False), ("pseudo-tls", True)):
        result, _ = play("none", "register", mitigation)
        assert result.reproducible is same
        assert ("reproducible" in result.as_json()) is not same
    spec = TrialSpec("home", "none", "register", mitigations=("tls",))
    assert list(determinism.differences([spec], 120.0)) == [], "what came of it is the same"


def test_another_program_reads_the_handshake(tmp_path: Path) -> None:
    if shutil.which("tshark") is None:
        missing("tshark is not installed: nobody but siplab has read the capture")
    path = tmp_path / "tls.pcapng"
    pcapng.write(play("none", "register", "tls")[1], path)
    done = subprocess.run(
        ["tshark", "-r", str(path), "-d", "tcp.port==5061,tls", "-Y", "tls.handshake", "-T", "json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    text = json.dumps(json.loads(done.stdout))
    assert '"tls.handshake.extensions_server_name": "lab.test"' in text
    assert '"tls.handshake.type": "1"' in text
    assert '"tls.app_data_proto": "Session Initiation Protocol"' in text


@pytest.mark.needs("emulated")
def test_the_worlds_agree_on_a_refused_certificate(bubble: Bubble) -> None:
    spec = TrialSpec("home", "none", "register", mitigations=("tls(certificate=expired)",))
    emulated, simulated = bubble.call(inside.run, spec), inside.run(spec, emulated=False)
    assert emulated.result["checks"] == simulated.result["checks"]
    assert emulated.result["outcome"] == "fail"
