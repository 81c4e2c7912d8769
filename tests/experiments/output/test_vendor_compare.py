"""``siplab vendors compare``: rows say what the bytes say, and of the unknown they say nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from siplab.alg_models import catalogue
from siplab.alg_models.samples import cross
from siplab.experiments.output.vendor_compare import ABSENT, compare
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.wire.sip import SipMessage
from tests.command import one_line_error, siplab

MODELS = [model.id for model in catalogue.load(plugins=False)]
MESSAGES = [
    "REGISTER, going out",
    "200 to the REGISTER, coming in",
    "INVITE, going out",
    "200 to the INVITE, coming in",
    "BYE, going out",
    "INVITE, coming in",
]
PRIVATE, PUBLIC = "<sip:alice@192.168.1.20:5060>", "<sip:alice@203.0.113.7:61002>"


def rows(data: dict[str, Any], message: str) -> dict[str, dict[str, Any]]:
    """The rows of one message, by their part."""
    (found,) = [each for each in data["messages"] if each["message"] == message]
    return {row["part"]: row for row in found["rows"]}


def cell(data: dict[str, Any], message: str, part: str, router: str) -> tuple[str, str]:
    row = rows(data, message)[part]["routers"][router]
    return row["before"], row["after"]


def test_the_correct_alg_part_by_part() -> None:
    data = compare(["correct"])
    assert [each["message"] for each in data["messages"]] == MESSAGES
    assert set(rows(data, MESSAGES[0])) == {"Via", "Contact"}
    assert cell(data, MESSAGES[0], "Contact", "correct") == (PRIVATE, PUBLIC)
    assert rows(data, MESSAGES[0])["Contact"]["sent"] == PRIVATE
    invite = rows(data, MESSAGES[2])
    assert set(invite) == {"Via", "Contact", "Content-Length", "SDP o=", "SDP c=", "SDP m="}
    assert cell(data, MESSAGES[2], "Content-Length", "correct") == ("110", "108")
    assert cell(data, MESSAGES[2], "SDP m=", "correct") == ("audio 49170 RTP/AVP 0", "audio 61004 RTP/AVP 0")
    # The server answers what reached it, and calls the Contact that it was told.
    assert cell(data, MESSAGES[1], "Contact", "correct") == (
        f"{PUBLIC};expires=3600",
        f"{PRIVATE};expires=3600",
    )
    assert rows(data, MESSAGES[1])["Contact"]["sent"] == f"{PRIVATE};expires=3600"
    assert cell(data, MESSAGES[-1], "Request-URI", "correct") == (PUBLIC[1:-1], PRIVATE[1:-1])


def test_a_router_that_changes_nothing_has_no_rows() -> None:
    for names in (["none"], ["none", "dd-wrt"]):
        assert all(each["rows"] == [] for each in compare(names)["messages"])


def test_what_one_router_leaves_alone_stands_beside_what_another_changes() -> None:
    data = compare(["none", "correct", "sdp-c-only"])
    assert cell(data, MESSAGES[2], "SDP m=", "sdp-c-only") == ("audio 49170 RTP/AVP 0",) * 2
    assert cell(data, MESSAGES[2], "SDP c=", "none") == ("IN IP4 192.168.1.20",) * 2
    assert cell(data, MESSAGES[2], "SDP c=", "sdp-c-only") == ("IN IP4 192.168.1.20", "IN IP4 203.0.113.7")


def test_what_a_router_does_not_restore_is_a_row() -> None:
    """Nothing changes at the router, and yet the phone gets something else than without an ALG."""
    data = compare(["broadcom"])
    assert cell(data, MESSAGES[-1], "Request-URI", "broadcom") == (PUBLIC[1:-1],) * 2
    before, after = cell(data, MESSAGES[1], "Via", "broadcom")
    assert before == after
    assert "203.0.113.7:61002;" in after


def test_broken_rules_added_headers_and_messages_that_end() -> None:
    data = compare(["semicolon-loss", "port5060-hijack", "via-added-proxy"])
    assert "without a `;`" in cell(data, MESSAGES[0], "breaks", "semicolon-loss")[1]
    assert cell(data, MESSAGES[0], "breaks", "via-added-proxy")[1] == ""
    _, fate = cell(data, MESSAGES[0], "what becomes of it", "port5060-hijack")
    assert "the router answers SIP/2.0 403 Forbidden" in fate
    assert "dropped by router's ALG" in fate
    assert rows(data, MESSAGES[0])["Via"]["routers"]["port5060-hijack"] is None
    assert cell(data, MESSAGES[1], "what becomes of it", "port5060-hijack")[1].startswith("not sent")
    before, after = cell(data, MESSAGES[0], "Via", "via-added-proxy")
    assert after.splitlines()[1:] == [before]
    assert cell(data, MESSAGES[0], "order of headers", "via-added-proxy") == ("", "changed")
    assert cell(data, MESSAGES[0], "order of headers", "semicolon-loss") == ("", "")


def test_a_line_of_sdp_that_is_new() -> None:
    data = compare(["sdp-line-injected", "correct"])
    new = [row for row in rows(data, MESSAGES[2]).values() if row["sent"] == ABSENT]
    assert new
    for row in new:
        assert row["routers"]["sdp-line-injected"]["before"] == ABSENT
        assert row["routers"]["correct"] == {"before": ABSENT, "after": ABSENT}


@pytest.mark.parametrize("name", MODELS)
def test_rows_are_all_that_differs(name: str) -> None:
    """Of each header of a REGISTER: either its values are the same, or a row has both."""
    model: Model = catalogue.load(plugins=False).get(name)
    outcome = cross(model, "register")
    found = rows(compare([name]), MESSAGES[0])
    if not outcome.after:
        assert "what becomes of it" in found
        return
    before, after = SipMessage.parse(outcome.before), SipMessage.parse(outcome.after)
    by_name = {part.lower(): row["routers"][name] for part, row in found.items()}
    for header in {field.name.decode() for message in (before, after) for field in message.fields}:
        values = [
            "\n".join(
                field.value.decode("utf-8", "backslashreplace") for field in message.all(header.encode())
            )
            for message in (before, after)
        ]
        if values[0] != values[1]:
            row = by_name[header]
            assert [row["before"], row["after"]] == [value or ABSENT for value in values]
        elif header in by_name:  # written otherwise: other case, other spacing
            assert by_name[header]["before"] == by_name[header]["after"]
    assert (outcome.before == outcome.after) == (found == {})


def test_of_the_unknown_nothing_is_shown() -> None:
    data = compare(["huawei-hg633-talktalk", "netgear", "correct"])
    talktalk, netgear, correct = data["routers"]
    assert (talktalk["model"], talktalk["unknown"]) == ("unknown", "unknown: nothing documented")
    assert (netgear["model"], netgear["unknown"]) == ("unknown", "unknown: no model yet")
    assert "unknown" not in correct
    for message in data["messages"]:
        for row in message["rows"]:
            assert list(row["routers"]) == ["correct"]


def test_names_that_are_taken(tmp_path: Path) -> None:
    """Vendors' ids and other names, files, models, variants: whatever somebody may mean."""
    file = tmp_path / "acme.yaml"
    file.write_text(
        "id: acme\nname: Acme\nmodel: semicolon-loss\n"
        "default: {state: unknown}\nswitch_off: {possible: unknown}\n"
        "claims:\n  - {text: Loses it., source: Acme 3000 manual, evidence: capture}\n"
    )
    names = ["srx", "juniper", str(file), "port-overflow(mode=sum)", "tozed(variant=silent)", "srx"]
    data = compare(names)
    assert [each["name"] for each in data["routers"]] == [*names[:2], "acme", *names[3:5]]
    assert [each["model"] for each in data["routers"]] == [
        "sbc-like(vendor=juniper)", "sbc-like(vendor=juniper)", "semicolon-loss", "port-overflow(mode=sum)",
        "port5060-hijack(proxy=silent)",
    ]  # fmt: skip
    for row in rows(data, MESSAGES[2]).values():
        assert row["routers"]["srx"] == row["routers"]["juniper"]
    for name, fix in (("draytec", "draytek"), ("qqqq", "siplab models"), ("no.yaml", "no such file")):
        with pytest.raises(UsageError, match=fix):
            compare([name])


# -- the command -------------------------------------------------------------------------------------


def test_the_tables() -> None:
    shown = siplab("vendors", "compare", "broadcom", "correct", "huawei-hg633-talktalk", COLUMNS="200").stdout
    for message in MESSAGES:
        assert message in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("│ SDP m=")]
    assert [each.strip() for each in line.split("│")[2:6]] == [
        "audio 49170 RTP/AVP 0",
        "=",
        "audio 61004 RTP/AVP 0",
        "",
    ]
    assert shown.count("unknown: nothing documented") == 1 + len(MESSAGES)


def test_the_data() -> None:
    shown = siplab("vendors", "compare", "correct", "srx", "--json").stdout
    assert json.loads(shown) == compare(["correct", "srx"])


def test_an_unknown_name_is_one_line() -> None:
    done = siplab("vendors", "compare", "correct", "draytec")
    one_line_error(done, "unknown model 'draytec'; did you mean draytek?")


def test_a_call_through_an_unknown_router_says_so() -> None:
    done = siplab("call", "--model", "huawei-ar", "--scenario", "register", "--world", "simulated")
    assert done.stderr.startswith("siplab: 'huawei-ar' is unknown: ")
