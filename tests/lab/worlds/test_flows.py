"""Media that need not be carried packet by packet: what comes of a trial is the same as if they were."""

from __future__ import annotations

import pytest

from siplab.experiments.scenarios.call_checks import connect
from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import STRICT
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Setup, Stage
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.flows import FlowKeeper
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.trace import Sent, Trace

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


# With a hosted provider each packet of media is passed on by a relay.
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
    """After it the NAT gives the phone another port, and only a packet that is carried can tell."""

    def sources() -> dict[Endpoint, int]:
        net = trial.network("home")
        world = SimulatedWorld(net, {"router": trial.models().get("none")}, 1)
        stage = Stage(world, Setup(models={"router": "none"}), 1)
        phone, far = sign_in(stage)
        talk = connect(stage, caller=phone, callee=far, target="bob@lab.test")
        assert talk is not None
        stage.idle(100.0)  # by then all transactions are over, and no timer of theirs comes in between
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
    # A binding of 60 s wants refreshing: some 60 stretches, with a packet or two each way.
    assert 100 < rtp(trace) < 1000


def test_what_a_relay_passes_on_need_not_be_carried_either() -> None:
    result, trace = trial.run(TrialSpec("home", "none", "outgoing-call(duration=3600)", server="hosted"))
    details = {check.name: check.detail for check in result.checks}
    assert details["caller hears"] == details["callee hears"] == "180001 of 180001 RTP packets"
    assert 100 < rtp(trace) < 10_000, "of 720 004"


def test_each_packet_is_carried_where_each_has_a_fate_of_its_own() -> None:
    result, trace = trial.run(TrialSpec("lossy", "none", "outgoing-call(duration=4)"))
    assert not result.errors
    assert rtp(trace) >= 400


def rtp(trace: Trace) -> int:
    return sum(isinstance(each, Sent) and each.payload[:1] == b"\x80" for each in trace.records)
