"""Scenarios come out with a back-to-back user agent as they do with a proxy of the same settings."""

from __future__ import annotations

import random

import pytest

from siplab.experiments.trial import registry
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from tests import grid

KINDS = ("pbx-nat", "pbx-plain", "freeswitch", "sbc-hnt", "trunk")
SCENARIOS = [item.id for item in registry.scenarios()]
MORE = [
    "transfer(how=attended)",
    "late-offer(caller=phone)",
    "early-media(reliable=true)",
    "hold(how=zero-address,by=far-phone)",
    "long-call(refresh=INVITE)",
    "cancel(caller=far-phone)",
]


def first_failed(server: str, model: str, scenario: str) -> str:
    result: TrialResult = grid.result(TrialSpec("home", model, scenario, server=server))
    assert not result.errors
    failure = result.first_failure
    return failure.name if failure is not None else "works"


@pytest.mark.parametrize("scenario", [*SCENARIOS, *MORE])
def test_as_with_a_proxy(scenario: str) -> None:
    kind = random.Random(scenario).choice(KINDS)
    assert first_failed(kind, "correct", scenario) == first_failed(
        f"{kind}(b2bua=false)", "correct", scenario
    )


@pytest.mark.deep
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", [*SCENARIOS, *MORE])
def test_as_with_a_proxy_each_of_them(scenario: str, kind: str) -> None:
    # Without an ALG a proxy may note in a private Contact where it came from, a B2BUA has its own instead.
    knows_source = registry.servers().get(kind).settings.store != "contact"
    for model in ("none", "correct") if knows_source else ("correct",):
        # Media that do not go by way of the server may fare better or worse.
        relayed = f"{kind}(direct_media=false)"
        proxy = f"{kind}(b2bua=false,direct_media=false)"
        assert first_failed(relayed, model, scenario) == first_failed(proxy, model, scenario)
