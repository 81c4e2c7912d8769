"""Media that are not carried packet by packet: the result of a trial is the same as if they were."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import pytest
import yaml

from siplab.experiments.scenarios.call_checks import connect
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import STRICT
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Setup, Stage
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.flows import FlowKeeper
from siplab.lab.worlds.impaired_flows import ImpairedFlows
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.trace import LossReason, Lost, Sent, SkippedPackets, Trace, from_json_lines
from tests.conftest import ROOT

MODELS = (
    "none",
    "correct",
    "sdp-c-only",
    "media-idle-blocked",
    "call-duration-cap",
    "ack-2xx-lost",
    "hold-releases-media",
    "media-pinhole-source-restricted",
)
SCENARIOS = ("outgoing-call", "incoming-call(idle=70)", "outgoing-call(duration=90)")


def outcome(spec: TrialSpec) -> tuple[list[tuple[str, bool, str]], float]:
    result, _ = trial.run(spec)
    assert not result.errors
    return [(check.name, check.passed, check.detail) for check in result.checks], result.duration


# With a hosted provider a relay passes on each packet of media.
@pytest.mark.parametrize("server", ["", "hosted"])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("model", MODELS)
def test_stretches_change_nothing(
    model: str, scenario: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = TrialSpec("home", model, scenario, server=server)
    passed_over = outcome(spec)
    monkeypatch.setattr(FlowKeeper, "skip", lambda *arguments: None)
    assert outcome(spec) == passed_over


def test_a_pause_ends_what_is_known_of_a_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the pause the NAT gives the phone another port; only a packet that is carried shows that."""

    def sources() -> dict[Endpoint, int]:
        net = trial.network("home")
        world = SimulatedWorld(net, {"router": trial.models().get("none")}, 1)
        stage = Stage(world, Setup(models={"router": "none"}), 1)
        phone, far = sign_in(stage)
        talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        assert talk is not None
        stage.idle(100.0)  # by then all transactions are over, so none of their timers interferes
        for call in (talk.outgoing, talk.incoming):
            call.mute(stage.now)
        stage.idle(300.0)
        for call in (talk.outgoing, talk.incoming):
            call.unmute(stage.now)
        stage.idle(5.0)
        return talk.incoming.heard["audio"].sources

    passed_over = sources()
    assert len(passed_over) == 2
    monkeypatch.setattr(FlowKeeper, "skip", lambda *arguments: None)
    assert sources() == passed_over


def test_an_hour_is_heard_though_few_packets_are_carried() -> None:
    result, trace = trial.run(TrialSpec("home", "none", "outgoing-call(duration=3600)").between(STRICT))
    details = {check.name: check.detail for check in result.checks}
    assert details["caller hears"] == details["callee hears"] == "180001 of 180001 RTP packets"
    # A binding of 60 s must be refreshed: about 60 stretches, with one or two packets each way.
    assert 60 < rtp(trace) < 1000


def test_what_a_relay_passes_on_need_not_be_carried_either() -> None:
    result, trace = trial.run(TrialSpec("home", "none", "outgoing-call(duration=3600)", server="hosted"))
    details = {check.name: check.detail for check in result.checks}
    assert details["caller hears"] == details["callee hears"] == "180001 of 180001 RTP packets"
    assert 100 < rtp(trace) < 10_000, "of 720 004"


# -- impaired networks -----------------------------------------------------------------------------

_BAD: Final = "home(loss=0.3,delay=0.1,jitter=0.1,duplicate=0.2,reorder=0.1)"
IMPAIRED: Final = [
    TrialSpec("lossy", "none", "outgoing-call(duration=8)"),  # relayed
    TrialSpec("lossy", "none", "outgoing-call(duration=8)").between(STRICT),  # no inbound media
    TrialSpec("lossy", "correct", "video").between(STRICT),
    pytest.param(TrialSpec("lossy", "media-idle-blocked", "incoming-call(idle=70)"), marks=pytest.mark.deep),
    TrialSpec("lossy", "hold-releases-media", "hold(pause=5)"),
    TrialSpec("lossy(duplicate=0.5)", "none", "outgoing-call(duration=10)", server="hosted"),
    TrialSpec("home(loss=0.05)", "none", "outgoing-call(duration=8)"),
    TrialSpec("home(delay=0.02,loss=0.05)", "none", "outgoing-call(duration=8)"),
    TrialSpec(_BAD, "none", "outgoing-call(duration=8)"),
    TrialSpec("lossy", "none", "fax"),
    pytest.param(TrialSpec("lossy", "none", "rtcp"), marks=pytest.mark.deep),
    TrialSpec("lossy", "none", "conference"),
    TrialSpec("lossy", "none", "outgoing-call(duration=10)", mitigations=("tunnel",)),
    TrialSpec("lossy", "none", "outgoing-call(duration=10)", mitigations=("turn",)),
]


def carried_singly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImpairedFlows, "plan", lambda *arguments: None)


@pytest.mark.parametrize(
    "spec",
    IMPAIRED,
    ids=lambda spec: f"{spec.topology}-{spec.model}-{spec.scenario}-{'-'.join(spec.mitigations)}",
)
def test_on_a_bad_line_stretches_change_nothing(spec: TrialSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    some, trace = trial.run(spec)
    carried_singly(monkeypatch)
    every, longer = trial.run(spec)
    assert not some.errors
    assert (some.checks, some.media, some.duration) == (every.checks, every.media, every.duration)
    assert 1.5 * len(trace) < len(longer)
    assert counted_losses(trace) == counted_losses(longer)


def counted_losses(trace: Trace) -> Counter[str]:
    """How many packets of media got lost at each node, one by one and in stretches."""
    found: Counter[str] = Counter()
    for each in trace:
        if isinstance(each, Lost) and each.reason is LossReason.LINK:
            found[each.node] += 1
        elif isinstance(each, SkippedPackets) and each.lost:
            found[each.node] += len(each.lost)
    return found


def test_ten_minutes_over_a_bad_line_are_carried_in_few_packets() -> None:
    result, trace = trial.run(TrialSpec("lossy", "none", "outgoing-call(duration=600)"))
    assert not result.errors
    assert rtp(trace) < 2_000, "of 120 000"
    stretches = [each for each in trace if isinstance(each, SkippedPackets) and each.network]
    packets, lost = sum(each.packets for each in stretches), sum(len(each.lost) for each in stretches)
    assert packets > 58_000
    assert 0.018 < lost / packets < 0.022
    for each in stretches[:20]:
        assert [number for number, copies in enumerate(each.copies()) if not copies] == list(each.lost)
        assert sum(map(len, each.copies())) == len(each.delays)
    assert from_json_lines(trace.to_json_lines()).records == trace.records


def test_packets_that_meet_two_impaired_networks_are_carried(tmp_path: Path) -> None:
    plan = yaml.safe_load((ROOT / "topologies" / "double-nat.yaml").read_text())
    for name in ("between", "wan"):
        plan["networks"][name] |= {"loss": 0.05, "delay": 0.01}
    path = tmp_path / "two-bad-lines.yaml"
    path.write_text(yaml.safe_dump(plan | {"id": path.stem}))
    result, trace = trial.run(TrialSpec(str(path), "none", "outgoing-call(duration=4)"))
    assert not result.errors
    assert rtp(trace) > 700
    assert not any(isinstance(each, SkippedPackets) and each.network for each in trace)


def rtp(trace: Trace) -> int:
    return sum(isinstance(each, Sent) and each.payload[:1] == b"\x80" for each in trace.records)
