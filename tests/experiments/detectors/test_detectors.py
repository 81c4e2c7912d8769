"""The lab's own detectors: what each notices, what it is blind to, and that none accuses a clean network."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from siplab import topologies
from siplab.alg_models import catalogue
from siplab.experiments import captures
from siplab.experiments.detectors import model_fingerprints
from siplab.experiments.detectors.combined import Combined
from siplab.experiments.detectors.low_ttl import changed_in
from siplab.experiments.detectors.obfuscated_source import verdict
from siplab.experiments.detectors.received import is_private, sanity
from siplab.experiments.output import pcapng
from siplab.experiments.phones.cards import CARDS as PHONE_CARDS
from siplab.experiments.trial import controls, reach, registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Finding, Setup, Stage
from siplab.lab.errors import UsageError
from siplab.lab.probing.probe_messages import request
from siplab.lab.server.core import PRIVATE_OWN
from siplab.lab.sip.messages import Incoming
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.base import World
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.trace import Received, Sent, Trace
from tests.lab.worlds import inside

PHONE, SERVER = Endpoint("192.168.1.102", 5060), Endpoint("198.51.100.10", 5060)
DETECTORS = [item.id for item in registry.detectors()]
MODELS = [model.id for model in catalogue.load().runnable()]

# What each technique is for, and what its documentation says that it can't see.
NOTICES = [
    ("answers", "one-direction-only(leaves=outbound)", "via-rport-stripped"),
    ("binding-lifetime", "correct", "via-rport-stripped"),
    ("content-length", "content-length-stale", "via-rport-stripped"),
    ("control-probes", "keepalive-crlf-swallowed", "correct"),
    ("control-probes", "unknown-method-dropped", "semicolon-loss"),
    ("silent-server", "port5060-hijack", "port5060-hijack(proxy=silent)"),
    ("silent-server", "options-answered-locally", "correct"),
    ("fingerprint", "via-added-proxy", "correct"),
    ("low-ttl", "via-rport-stripped", "one-direction-only(leaves=outbound)"),
    ("mirror", "via-rport-stripped", "one-direction-only(leaves=outbound)"),
    ("obfuscated-source", "correct", "via-rport-stripped"),
    ("passive", "via-rport-stripped", "none"),
    ("port-compare", "port5060-hijack(proxy=silent)", "none"),
    ("registration-readback", "correct", "one-direction-only(leaves=outbound)"),
    ("received", "correct", "semicolon-loss"),
    ("rtp-port", "sdp-m-only", "via-rport-stripped"),
    ("same-rtp-port", "correct", "via-rport-stripped"),
    ("stun-mapping", "mapping-not-stable", "one-direction-only(leaves=outbound)"),
    ("tripwires", "blind-ip-replace", "correct"),
]


def examined(topology: str, model: str, detector: str, seed: int = 1) -> tuple[TrialResult, Trace, TrialSpec]:
    spec = TrialSpec(topology, model, detector=detector, seed=seed)
    result, trace = trial.run(spec)
    assert result.errors == []
    return result, trace, spec


def found(topology: str, model: str, detector: str, seed: int = 1) -> Finding:
    result = examined(topology, model, detector, seed)[0]
    assert result.finding is not None
    return result.finding


# -- clean networks --------------------------------------------------------------------------------


# What blocks SIP on its port looks like a router whose switch for the ALG does so (`sip-blocked`): nothing
# tells the two apart. A firewall that lets no media in leaves `combined` in doubt of what it can't see.
BLOCKED = ("firewall-no-sip", "carrier-no-sip")
CLEAN = [each for each in topologies.available() if each not in BLOCKED]


@pytest.mark.parametrize("topology", CLEAN)
def test_nobody_accuses_a_clean_network(topology: str) -> None:
    for detector in DETECTORS:
        finding = found(topology, "none", detector)
        assert finding.verdict in ("clean", "undecided"), (detector, finding)
        assert finding.changed == finding.evidence == ()


@pytest.mark.parametrize("topology", [each for each in CLEAN if each != "firewall-no-media"])
def test_combined_is_sure_of_a_clean_network(topology: str) -> None:
    assert found(topology, "none", "combined").verdict == "clean"


@pytest.mark.parametrize("seed", range(1, 9))
def test_loss_and_disorder_are_nobodys_fault(seed: int) -> None:
    for detector in DETECTORS:
        assert found("lossy", "none", detector, seed).verdict != "alg", detector
    assert found("lossy", "none", "combined", seed).verdict == "clean"


def test_a_short_timer_is_the_nats_and_not_an_algs() -> None:
    finding = found("home", "udp-binding-short", "binding-lifetime")
    assert finding.verdict == "clean"
    assert finding.detail == "bindings end within 45 s on both ports"


# -- ALGs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", ["nat-symmetric", "proxied", "ipv6"])
def test_combined_notices_some_of_what_is_within_reach(topology: str) -> None:
    _notices_whatever_is_within_reach(topology, random.Random(topology).sample(MODELS, 20))


@pytest.mark.parametrize(
    "topology",
    ["home", *(pytest.param(each, marks=pytest.mark.deep) for each in ("nat-symmetric", "proxied", "ipv6"))],
)
def test_combined_notices_whatever_is_within_reach(topology: str) -> None:
    _notices_whatever_is_within_reach(topology, MODELS)


def _notices_whatever_is_within_reach(topology: str, models: list[str]) -> None:
    """Within reach is what makes a gateway emit other packets than one without an ALG would have."""
    missed, accused = [], []
    for model in models:
        result, trace, spec = examined(topology, model, "combined")
        within = reach.measure(trace, trial.network(topology), f"{spec.seed}/{spec.name}").touched
        if within and result.outcome != "alg":
            missed.append((model, result.outcome))
        if not within and result.outcome != "clean":
            accused.append((model, result.outcome))
    assert (missed, accused) == ([], [])


# Faults without the translation that most of them stand on, and routers that lose one thing.
ALONE = [model.id for model in catalogue.load().select(["bare", "losses"])]
# What fails a scenario and is not noticed: a call that ends after half an hour; a router that drops fragments
# on every port does not tell SIP from others (undecided).
UNNOTICED = {"bare-call-duration-cap(seconds=1800.0)", "bare-fragment-drop"}


def _unnoticed(models: list[str]) -> list[str]:
    return [model for model in models if found("home", model, "combined").verdict != "alg"]


def _broken_by(model: str) -> list[str]:
    names = [item.id for item in registry.scenarios()]
    return [each for each in names if trial.run(TrialSpec("home", model, each))[0].outcome != "pass"]


def test_combined_notices_everything_that_can_be_lost() -> None:
    """A sample; all of them in `make test-deep`."""
    losses = [each for each in ALONE if each.startswith("loses(")]
    assert _unnoticed([*random.Random(1).sample(losses, 20), "loses(status=407)"]) == []


@pytest.mark.deep
def test_what_fails_a_scenario_combined_notices_even_alone() -> None:
    given = _broken_by("none")
    unnoticed = {each for each in _unnoticed(ALONE) if set(_broken_by(each)) - set(given)}
    assert unnoticed == UNNOTICED


@pytest.mark.parametrize("model", sorted(UNNOTICED))
def test_what_combined_does_not_notice_is_no_false_clean_where_something_was_kept_back(model: str) -> None:
    result, _, _ = examined("home", model, "combined")
    assert result.outcome == ("undecided" if model == "bare-fragment-drop" else "clean")


@pytest.mark.parametrize(
    "model", ["keepalive-crlf-swallowed", "via-rport-stripped", "port5060-hijack(proxy=silent)"]
)
def test_combined_notices_on_a_lossy_line_too(model: str) -> None:
    for seed in range(1, 6):
        assert found("lossy", model, "combined", seed).verdict == "alg"


@pytest.mark.parametrize(("detector", "noticed", "blind_to"), NOTICES)
def test_each_technique_sees_what_it_says(detector: str, noticed: str, blind_to: str) -> None:
    finding = found("home", noticed, detector)
    assert finding.verdict == "alg", finding
    assert finding.changed
    assert finding.evidence
    assert finding.detail == finding.evidence[0]
    assert found("home", blind_to, detector).verdict != "alg"


def test_every_detector_is_in_that_table() -> None:
    assert {row[0] for row in NOTICES} | {"combined"} == set(DETECTORS)


@pytest.mark.parametrize(
    ("model", "changed"),
    [
        ("via-rport-stripped", {"Via"}),
        ("keepalive-crlf-swallowed", {"dropped"}),
        ("correct", {"Via", "Contact", "SDP o=", "SDP c=", "SDP m=", "Content-Length"}),
        ("call-id-rewrite", {"Call-ID"}),
        ("sdp-line-injected", {"body"}),
        ("mapping-not-stable", {"source port"}),
        ("wrong-inside-port", {"dropped"}),
        ("options-answered-locally", {"forged"}),
    ],
)
def test_combined_names_what_changed(model: str, changed: set[str]) -> None:
    assert changed <= set(found("home", model, "combined").changed)


@pytest.mark.parametrize(
    "model",
    [
        "via-rport-stripped",
        "semicolon-loss",
        "keepalive-crlf-swallowed",
        "port5060-hijack",
        "call-id-rewrite",
    ],
)
def test_combined_names_the_likely_fault(model: str) -> None:
    assert found("nat-symmetric", model, "combined", seed=5).faults[0] == model


def test_models_that_do_the_same_are_all_named_and_never_too_many() -> None:
    faults = found("home", "call-duration-cap", "combined").faults
    assert faults[0] == "correct"
    assert 1 < len(faults) <= model_fingerprints.MOST


def test_fingerprints_are_kept_without_loss() -> None:
    rows = {"correct": frozenset("ab"), "x": frozenset("ac"), "y": frozenset[str]()}
    assert model_fingerprints.unfolded(model_fingerprints.folded(rows)) == rows


def test_the_fingerprints_on_file_are_those_of_the_models() -> None:
    """Of some: a stale file makes names of likely faults worse. `python -m tools.fingerprints` fixes it."""
    net = trial.network("home")
    for spec in ("correct", "semicolon-loss", "via-rport-stripped"):
        model = catalogue.load().get(spec)
        world: World = SimulatedWorld(net, {"router": model}, 3)
        seen = Combined().observe(Stage(world, Setup(models={"router": spec}), 3))
        assert model_fingerprints.fingerprint(seen) == model_fingerprints.catalogue().rows[spec]


# -- what the parts say of single messages ---------------------------------------------------------


def test_a_server_can_judge_by_a_disguised_source() -> None:
    sent = request(b"REGISTER", b"q0123456789a", PHONE)
    assert verdict(sent) == []
    assert verdict(
        sent.replace(b"Contact: <sip:probe@192.168.1.102", b"Contact: <sip:probe@203.0.113.7")
    ) == ["Contact"]
    assert verdict(b"") == ["X-Source"]


@pytest.mark.parametrize(
    ("received", "local", "server", "wrong"),
    [
        ("192.168.1.102", "192.168.1.102", "198.51.100.10", True),
        ("203.0.113.7", "192.168.1.102", "198.51.100.10", False),
        ("203.0.113.7", "203.0.113.7", "198.51.100.10", False),  # no NAT
        ("192.168.1.102", "192.168.1.102", "10.0.0.1", False),  # a server in the house
    ],
)
def test_received_is_judged_where_a_nat_must_be(received: str, local: str, server: str, wrong: bool) -> None:
    via = f"SIP/2.0/UDP {local}:5060;branch=z9hG4bKx;received={received}".encode()
    wire = b"SIP/2.0 200 OK\r\nVia: " + via + b"\r\nCSeq: 1 OPTIONS\r\n\r\n"
    answer = Incoming(SipMessage.parse(wire), Endpoint(server, 5060), Endpoint(local, 5060))
    assert bool(sanity(answer, Endpoint(local, 5060), Endpoint(server, 5060))) is wrong


@pytest.mark.parametrize("address", ["10.1.2.3", "172.31.0.1", "192.168.0.1", "100.64.0.1", "fd00::1"])
def test_private_addresses(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", ["203.0.113.7", "172.32.0.1", "2001:db8::1", "pc.example.org", ""])
def test_other_addresses(address: str) -> None:
    assert not is_private(address)


def test_a_quote_is_compared_as_far_as_it_goes() -> None:
    sent = request(b"INVITE", b"q0123456789a", PHONE)
    assert changed_in(sent, sent) == changed_in(sent, sent[:100]) == []
    other = sent.replace(b"UDP 192.168.1.102:5060", b"UDP 203.0.113.7:61002")
    assert changed_in(sent, other[:200]) == ["Via"]


# -- captures ----------------------------------------------------------------------------------------


def _pcap(path: Path, rows: list[tuple[float, bytes]]) -> None:
    """A classic capture of raw IP packets."""
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    for now, packet in rows:
        out += struct.pack("<IIII", int(now), round(now % 1 * 1e6), len(packet), len(packet)) + packet
    path.write_bytes(out)


def _at(trace: Trace, host: str) -> list[tuple[float, bytes]]:
    rows = []
    for each in trace:
        if isinstance(each, Sent) and each.host == host:
            rows.append((each.now, ip.udp(each.local, each.remote, each.payload)))
        elif isinstance(each, Received) and each.host == host:
            rows.append((each.now, ip.udp(each.remote, each.local, each.payload)))
    return rows


@pytest.mark.parametrize(("model", "expected"), [("none", "clean"), ("correct", "alg")])
def test_two_capture_files_are_compared(model: str, expected: str, tmp_path: Path) -> None:
    trace = trial.run(TrialSpec("home", model, scenario="outgoing-call"))[1]
    _pcap(tmp_path / "in.pcap", _at(trace, "phone"))
    _pcap(tmp_path / "out.pcap", _at(trace, "registrar"))
    detector = f"passive(inside={tmp_path}/in.pcap,outside={tmp_path}/out.pcap)"
    assert found("home", "none", detector).verdict == expected


def test_the_labs_own_captures_are_read_back(tmp_path: Path) -> None:
    trace = trial.run(TrialSpec("home", "correct", scenario="register"))[1]
    pcapng.write(trace, tmp_path / "all.pcapng")
    rows = captures.read(tmp_path / "all.pcapng").messages
    seen = [(each.tap, each.source, each.destination, each.payload) for each in rows if "/" not in each.tap]
    expected = [
        (each.host, each.local, each.remote, each.payload)
        if isinstance(each, Sent)
        else (each.host, each.remote, each.local, each.payload)
        for each in trace
        if isinstance(each, Sent | Received)
    ]
    assert seen == expected


def test_files_that_are_no_captures_are_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(b"hello")
    with pytest.raises(UsageError, match=r"x\.pcap: "):
        trial.run(TrialSpec("home", "none", detector=f"passive(inside={path},outside={path})"))


# -- in the kernel's network ---------------------------------------------------------------------------


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("model", ["none", "correct", "via-rport-stripped", "keepalive-crlf-swallowed"])
@pytest.mark.parametrize("detector", ["combined", "low-ttl", "binding-lifetime", "passive"])
def test_both_worlds_say_the_same(detector: str, model: str, bubble: Bubble) -> None:
    spec = TrialSpec("home", model, detector=detector)
    emulated = bubble.call(inside.run, spec)
    assert emulated == inside.run(spec, emulated=False)
    assert emulated.result["errors"] == []


def test_passive_sees_a_bye_from_each_side() -> None:
    _, trace = trial.run(TrialSpec("home", "none", detector="passive"))
    senders = {each.host for each in trace if isinstance(each, Sent) and each.payload.startswith(b"BYE ")}
    assert {"phone", "far-phone"} <= senders


def test_servers_that_look_as_if_an_alg_had_been_at_them_are_not_accused() -> None:
    """Private addresses, Via parameters that nobody asked for, two dialogs for one call; cards of servers."""
    rows = [each for each in controls.available() if each.kind or each.server]
    assert len(rows) >= 11
    for control in rows:
        for detector in ("combined", "passive", "received", "registration-readback"):
            result, trace = trial.run(TrialSpec("home", "none", detector=detector, control=control.name))
            assert result.finding is not None
            if detector == "registration-readback":  # some registrars tell nobody what they hold
                assert result.finding.verdict in ("clean", "undecided"), (control, detector)
            else:
                assert result.finding.verdict == "clean", (control, detector)
            assert not result.errors
            said = b"".join(each.payload for each in trace if isinstance(each, Sent))
            if detector in ("combined", "passive"):
                assert (PRIVATE_OWN.ip.encode() in said) == control.name.startswith("private")
            if detector == "combined":
                assert said.count(b";received=203.0.113.7") > 50  # the server stamps every answer


def test_phones_with_evidence_are_not_accused() -> None:
    """Of all detectors ``passive`` alone watches a phone; the others bring messages of their own."""
    for phone in [each.id for each in PHONE_CARDS]:
        result, _ = trial.run(TrialSpec("home", "none", detector="passive", phone=phone))
        assert result.finding is not None
        assert (result.finding.verdict, result.errors) == ("clean", []), phone
