"""The tables of calls in ZyXEL's NBG7815: kirdesde/nbg7815_gpl at e816d72c, nf_conntrack_sip.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from siplab.alg_models.catalogue import load
from siplab.alg_models.samples.basic import INVITE, INVITE_OK, SDP
from siplab.alg_models.samples.media import with_body
from siplab.experiments.trial.run import run
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from tests.alg_models.test_linux import changed

if TYPE_CHECKING:
    from tests.alg_models.conftest import Line, LineMaker

CATALOGUE = load(plugins=False)
MODEL = CATALOGUE.get("linux(kernel=4.4,call_table=true)")
# The media of a PBX are on another host than its SIP.
OFFER = with_body(INVITE, SDP.replace(b"192.168.1.20", b"192.168.1.21"))
PROGRESS = changed(INVITE_OK, (b"200 OK", b"183 Session Progress"))


@pytest.fixture
def line(new_line: LineMaker) -> Line:
    return new_line(MODEL)


def again(message: bytes, number: int, method: bytes = b"INVITE") -> bytes:
    head = message.replace(b"CSeq: 1 INVITE", b"CSeq: %d %b" % (number, method))
    return method + head[len(b"INVITE") :] if method != b"INVITE" else head


def test_the_first_offer_of_another_host_is_taken_for_the_senders(line: Line, new_line: LineMaker) -> None:
    assert b"c=IN IP4 203.0.113.7\r\n" in line.out(OFFER)
    mainline = new_line(CATALOGUE.get("linux(kernel=4.4)"))
    assert b"c=IN IP4 192.168.1.21\r\n" in mainline.out(OFFER)


def test_the_next_one_has_the_first_packets_source(line: Line) -> None:
    line.out(OFFER)
    later = changed(again(OFFER, 2), (b"m=audio 49170", b"m=audio 50000"))
    left = line.out(later)
    assert b"c=IN IP4 192.168.1.20\r\n" in left
    assert b"m=audio 49170 " in left


@pytest.mark.parametrize("method", [b"BYE", b"CANCEL"])
def test_an_entry_ends_with_the_call_and_after_three_minutes(line: Line, method: bytes) -> None:
    line.out(OFFER)
    line.out(with_body(again(OFFER, 2, method), b""))
    assert b"c=IN IP4 203.0.113.7\r\n" in line.out(again(OFFER, 3))
    line.now = 181.0
    assert b"c=IN IP4 203.0.113.7\r\n" in line.out(again(OFFER, 4))


def test_after_early_media_a_relays_address_is_the_signalling_servers(line: Line) -> None:
    line.out(INVITE)
    assert b"c=IN IP4 198.51.100.20\r\n" in line.back(PROGRESS)
    assert b"c=IN IP4 198.51.100.10\r\n" in line.back(INVITE_OK)


def test_answers_without_the_very_text_are_left_to_the_kernel(line: Line) -> None:
    line.out(INVITE)
    other = (b"Contact: <sip:", b'Contact: "B" <sip:')
    for answer in (PROGRESS, INVITE_OK):
        assert b"c=IN IP4 198.51.100.20\r\n" in line.back(changed(answer, other))


def test_sound_is_lost_after_early_media_where_the_provider_has_a_relay_elsewhere() -> None:
    spec = TrialSpec("home", "linux(kernel=4.4)", "early-media", phone="plain", server="strict-addresses")
    assert run(spec)[0].outcome == "pass"
    failure = run(TrialSpec("home", MODEL.id, "early-media", phone="plain", server="strict-addresses"))[0]
    assert failure.outcome == "fail"


def test_two_vendors_do_not_mix() -> None:
    with pytest.raises(UsageError, match="two vendors"):
        CATALOGUE.get("linux(call_table=true,cancel_ends_media=true)")
