"""Kamailio and tshark judge what the models put out, and the lab's syntax rules are not alone with theirs."""

from __future__ import annotations

import pytest

from tools import judges

# Of these rules each message is refused by that judge too.
ALSO_BY_KAMAILIO = {"via-missing-semicolon", "content-length-too-large", "content-length-too-small"}
ALSO_BY_TSHARK = {"sdp-media-port-out-of-range"}


@pytest.mark.needs("emulated", "kamailio", "tshark")
@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.deep)])
def test_others_take_what_the_lab_calls_sound_and_refuse_what_it_refuses(every: int) -> None:
    verdicts = judges.judge(judges.messages(every))
    assert {each.rule for each in verdicts} & ALSO_BY_KAMAILIO
    for each in verdicts:
        if each.rule in ALSO_BY_KAMAILIO:
            assert each.kamailio, each
        elif not each.minded:
            assert not each.kamailio, each
            assert not each.tshark, each
        if each.rule in ALSO_BY_TSHARK:
            assert each.tshark, each
