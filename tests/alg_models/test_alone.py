"""Models that measure detectors: faults without the correct translation, and routers that lose one thing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from siplab.alg_models import catalogue, losses
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Recipe
from siplab.lab.wire.sip import SipMessage

CATALOGUE = catalogue.load()
_REQUEST = (
    b"INVITE sip:b@lab.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nk: 100rel\r\n"
    b"Warning: x\r\nSupported: timer\r\nContent-Length: 53\r\n\r\n"
    b"v=0\r\nm=audio 9 RTP/AVP 0\r\na=rtcp-mux\r\na=rtcp:9\r\nz=1\r\n"
)


def _left(**lost: str | int) -> bytes:
    message = SipMessage.parse(_REQUEST)
    losses.Loses(**lost).apply(message, None)  # type: ignore[arg-type]
    return bytes(message)


def test_what_is_lost_is_gone_and_nothing_else() -> None:
    assert _left(header="Warning") == _REQUEST.replace(b"Warning: x\r\n", b"")
    assert _left(header="Supported") == _REQUEST.replace(b"k: 100rel\r\n", b"").replace(
        b"Supported: timer\r\n", b""
    )
    shorter = _REQUEST.replace(b"Length: 53", b"Length: 41")
    assert _left(attribute="rtcp-mux") == shorter.replace(b"a=rtcp-mux\r\n", b"")
    assert _left(line="z") == _REQUEST.replace(b"Length: 53", b"Length: 48").replace(b"z=1\r\n", b"")
    assert _left(line="k") == _left(method="BYE") == _left(status=407) == _REQUEST


def test_a_lost_status_stops_the_calls_that_need_it() -> None:
    result, _ = trial.run(TrialSpec("home", "loses(status=407)", "outgoing-call"))
    assert (result.outcome, result.errors) == ("fail", [])
    assert trial.run(TrialSpec("home", "loses(status=408)", "outgoing-call"))[0].outcome == "pass"


def test_the_scenarios_have_nothing_that_the_list_lacks() -> None:
    listed = {(kind, name) for kind in losses.KINDS for name in getattr(losses.load().scenarios, kind)}
    found = set()
    for item in registry.scenarios():
        _, trace = trial.run(TrialSpec("home", "none", item.id))
        for each in trace.sip():
            found |= set(losses.names(SipMessage.parse(each.payload)))
    assert found <= listed
    assert ("status", "407") in found


def test_each_name_is_one_router() -> None:
    models = CATALOGUE.select(["losses"])
    assert len({each.id for each in models}) == len(models) > 90
    for each in models:
        assert CATALOGUE.get(each.id) == each
        assert each.steps


def test_a_bare_fault_is_the_fault_without_the_translation() -> None:
    for each in CATALOGUE.select(["bare"]):
        whole = CATALOGUE.get(each.id.removeprefix("bare-"))
        assert CATALOGUE.get(each.id).id == each.id
        for alone, made in ((each, whole), (each.after_restart, whole.after_restart)):
            recipe = made.recipe
            assert replace(alone.recipe, restarted=None) == Recipe(
                first=recipe.first, last=recipe.last, policy=recipe.policy, nat=recipe.nat
            )
            assert not set(alone.steps) & set(recipe.base)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("bare-correct", "'correct' is no fault"),
        ("bare-none", "'none' is no fault"),
        ("bare-semicolon-los", "semicolon-loss"),
        ("bare-semicolon-loss(x=1)", "no parameter 'x'"),
        ("loses(status=many)", "status"),
        ("loses(moon=1)", "no parameter 'moon'"),
    ],
)
def test_what_there_is_not_is_named(spec: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        CATALOGUE.get(spec)
