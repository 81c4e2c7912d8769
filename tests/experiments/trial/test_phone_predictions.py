"""What a fault comes to with each kind of phone: what the evidence predicts, where a model has the fault.

``seen``: a program was run against messages altered so. ``source-code``: read. ``inference``: it follows.
"""

from __future__ import annotations

import re
from functools import cache

import pytest

from siplab.experiments.trial.run import run
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.trace import Sent

OUT, IN, LATE = "outgoing-call", "incoming-call", "incoming-call(idle=70)"
WITH_HOST = "(call_id_form=token@host)"  # an ALG finds nothing in a token alone
KINDS = ("pjsip", "linphone", "libre", "sofia")
SEEN = ("seen", "seen", "seen", "source-code")
INFERRED = ("inference",) * 4
ALL_LOST = ("registered",) * 4
ALL_WORK = ("works",) * 4

# Model, scenario, server, what is added to the phone; first failure of pjsip, linphone, libre and sofia;
# evidence.
TABLE = [
    (
        "call-id-rewrite",
        "register",
        "proxy-plain",
        WITH_HOST,
        ("works", "works", "works", "registered"),
        SEEN,
    ),
    ("call-id-rewrite", OUT, "proxy-detect", WITH_HOST, ("works", "works", "works", "registered"), SEEN),
    ("call-id-rewrite", OUT, "proxy-detect", "", ALL_WORK, INFERRED),
    ("semicolon-loss", "register", "proxy-plain", "", ALL_LOST, SEEN),
    ("port-overflow", "register", "proxy-plain", "", ("registered", "works", "works", "works"), SEEN),
    ("via-branch-altered", "register", "proxy-plain", "", ALL_LOST, SEEN),
    ("response-not-translated-back", "register", "proxy-plain", "", ALL_WORK, SEEN),
    ("contact-params-lost", "register", "proxy-plain", "", ALL_WORK, SEEN),
    ("contact-port-appended", "register", "proxy-plain", "", ALL_WORK, SEEN),
    ("ruri-not-restored", IN, "proxy-plain", "", ALL_WORK, SEEN),
    ("fromto-rewrite-asymmetric", OUT, "proxy-plain", "", ALL_WORK, SEEN),
    ("ack-2xx-lost", IN, "proxy-detect", "", ("stays up",) * 4, SEEN),
    ("none", LATE, "proxy-detect(ping='')", "", ("works", "works", "rings", "rings"), INFERRED),
    ("keepalive-crlf-swallowed", LATE, "proxy-detect(ping='')", "", ("rings",) * 4, INFERRED),
]


@cache
def first_failure(model: str, scenario: str, phone: str, server: str, far: str = "libre") -> str:
    result, _ = run(TrialSpec("home", model, scenario=scenario, phone=phone, server=server, far_phone=far))
    assert not result.errors
    return next((check.name for check in result.checks if not check.passed), "works")


@pytest.mark.parametrize(
    ("model", "scenario", "phone", "server", "predicted", "evidence"),
    [
        (model, scenario, kind + added, server, failure, mark)
        for model, scenario, server, added, failures, marks in TABLE
        for kind, failure, mark in zip(KINDS, failures, marks, strict=True)
    ],
)
def test_predictions(
    model: str, scenario: str, phone: str, server: str, predicted: str, evidence: str
) -> None:
    assert first_failure(model, scenario, phone, server) == predicted, evidence


def test_requests_pass_where_other_keepalives_are_swallowed() -> None:
    """Source: sofia's OPTIONS through its proxy; every 20 s here, since this NAT forgets before its 120 s."""
    server = "proxy-detect(ping='')"
    phone = "sofia(keepalive_interval=20)"
    assert first_failure("keepalive-crlf-swallowed", LATE, phone, server) == "works"


@pytest.mark.parametrize(
    ("far", "failure"),
    [
        ("pjsip", "works"),
        ("linphone", "caller hears"),
        ("libre", "caller hears"),
        ("polycom", "callee hears"),
    ],
)
def test_who_finds_media_that_come_from_elsewhere(far: str, failure: str) -> None:
    """Seen of pjsua, linphonec and baresip: only the first latches; Polycom's guide: filterByIp."""
    assert first_failure("none", OUT, "plain", "proxy-plain", far) == failure


@pytest.mark.parametrize(
    ("phone", "contacts"),
    [
        ("pjsip", [b"192.168.1.102:5060", b"203.0.113.7:61002"]),
        ("linphone", [b"192.168.1.102:5060", b"203.0.113.7:61002"]),
        ("sofia", [b"192.168.1.102:5060", b"203.0.113.7:61002"]),
        ("libre", [b"192.168.1.102:5060"] * 2),
    ],
)
def test_a_via_that_stays_public_teaches(phone: str, contacts: list[bytes]) -> None:
    """From the challenge already. Seen of pjsua and linphonec (baresip does not), read in sofia's source."""
    spec = TrialSpec(
        "home", "response-not-translated-back", scenario="register", phone=phone, server="proxy-plain"
    )
    _, trace = run(spec)
    sent = [SipMessage.parse(each.payload) for each in trace.records if isinstance(each, Sent)]
    registered = [each.value(b"contact") for each in sent if each.method == b"REGISTER" and each.is_request]
    found = [re.search(rb"@([\d.:]+)", value) for value in registered]
    assert [each[1] for each in found if each is not None] == contacts


# -- STUN beside an ALG -------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["correct", "linux"])
@pytest.mark.parametrize(
    ("phone", "failure"),
    [("plain", "registered"), *((kind, "works") for kind in KINDS)],
)
def test_stun_and_an_alg(model: str, phone: str, failure: str) -> None:
    """Only who compares sent-by (RFC 3261 18.1.2) loses the answers that the ALG has translated back."""
    for scenario in ("register", IN, OUT):
        result, _ = run(
            TrialSpec(
                "home", model, scenario=scenario, phone=phone, server="proxy-plain", mitigations=("stun",)
            )
        )
        found = next((check.name for check in result.checks if not check.passed), "works")
        assert found == failure
