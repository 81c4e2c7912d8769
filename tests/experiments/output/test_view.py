"""The data behind every picture: it agrees with trace and schema, and says what determines it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from siplab.experiments.explain import explained
from siplab.experiments.explain.folder import ExplainedFolder
from siplab.experiments.output import files
from siplab.experiments.output.document import document
from siplab.experiments.output.schemas import ResultsFile, TraceLine
from siplab.experiments.output.view import TrialDocument, TrialView
from siplab.experiments.output.viewing import as_json, view
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import worker
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.worlds.trace import Trace, from_json_lines

# The router changes c= and leaves m=: the provider's relay sends media to a port that nobody opened.
ONE_WAY = TrialSpec("home", "sdp-c-only", "outgoing-call", server="hosted(latch=untrusted)")


def seen(spec: TrialSpec) -> tuple[TrialView, Trace]:
    result, trace = trial.run(spec)
    return view(explained(result, trace), trace, trial.network_of(spec)), trace


@pytest.fixture(scope="module")
def one_way() -> TrialView:
    return seen(ONE_WAY)[0]


def test_numbers_lead_from_messages_to_changes_and_back(one_way: TrialView) -> None:
    assert [each.number for each in one_way.messages] == list(range(1, len(one_way.messages) + 1))
    for change in one_way.changes:
        for number in change.messages:
            assert change.number in [each.change for each in one_way.message(number).altered]
    rows = [number for row in one_way.rows for number in row.messages]
    assert sorted(rows) == [each.number for each in one_way.messages]


def test_marks_are_what_differs(one_way: TrialView) -> None:
    pairs = [pair for each in one_way.messages for altered in each.altered for pair in altered.lines]
    assert pairs
    for pair in pairs:
        kept = []
        for line in (pair.before, pair.after):
            assert line is not None
            text, at = "", 0
            for start, end in line.marks:
                text, at = text + line.text[at:start], end
            kept.append(text + line.text[at:])
        assert kept[0] == kept[1]


def test_a_changed_message_has_both_versions_and_the_lines_of_its_own(one_way: TrialView) -> None:
    for each in one_way.messages:
        assert bool(each.seen) == bool(each.altered) or not each.text
        for altered in each.altered:
            for pair in altered.lines:
                assert pair.before is None or pair.before.text in each.text
                assert pair.after is None or pair.after.text in each.seen


def test_a_failed_check_names_the_guilty_message(one_way: TrialView) -> None:
    (failed,) = (each for each in one_way.checks if not each.passed)
    assert failed.cause is not None
    assert failed.cause.message is not None
    guilty = one_way.message(failed.cause.message)
    assert guilty.label == "INVITE with SDP"
    assert [each.gateway for each in guilty.altered] == [failed.cause.gateway] == ["router"]


def test_bytes_that_are_no_text_and_markup_stay_text() -> None:
    result, trace = trial.run(TrialSpec("home", "correct", "register"))
    payload = b"OPTIONS sip:a SIP/2.0\r\nUser-Agent: <img src=x onerror=alert(1)>\xff\x00\r\n\r\n"
    first = next(each for each in trace.records if hasattr(each, "payload"))
    trace.records.append(first._replace(payload=payload))  # type: ignore[call-arg]
    shown = view(result, trace, trial.network_of(result.spec))
    assert "<img src=x onerror=alert(1)>\\xff\0" in shown.messages[-1].text
    json.dumps(as_json(shown))


def test_the_control_meets_the_same_call_and_remedies_are_tried() -> None:
    result, trace = trial.run(ONE_WAY)
    found = document(result, trace)
    asked, control, *cures = found.variants
    assert (asked.trial.outcome, control.kind, control.trial.outcome) == ("fail", "control", "pass")
    call_ids = [
        {line for each in one.trial.messages for line in each.text.splitlines() if line.startswith("Call-ID")}
        for one in (asked, control)
    ]
    assert call_ids[0] & call_ids[1]
    outcomes = {each.id: each.outcome for each in found.remedies}
    assert outcomes["non-standard-port"] == "pass"
    assert outcomes["rport"] == "fail"
    assert outcomes["bridge-mode"] == ""  # no such network: neither green nor red
    assert next(each.why for each in found.remedies if each.id == "bridge-mode")
    assert {each.trial.outcome for each in cures} == {"pass"}
    for voice in found.voices:
        assert len(base64.b64decode(voice.mu_law)) == 5 * 8000
    TypeAdapter(TrialDocument).validate_json(json.dumps(as_json(found)))


@pytest.mark.parametrize(
    "spec",
    [
        ONE_WAY,
        TrialSpec("home", "none", "tcp-call"),
        TrialSpec("home(loss=0.05)", "none", "outgoing-call(duration=3)"),
        TrialSpec("home", "semicolon-loss", "router-reboot"),
        TrialSpec("home", "semicolon-loss", detector="tripwires"),
    ],
    ids=lambda spec: f"{spec.model}-{spec.played}",
)
def test_files_are_as_their_schemas_say(tmp_path: Path, spec: TrialSpec) -> None:
    result, trace = worker.run_traced(spec, ExplainedFolder(tmp_path))
    files.write_results([tmp_path / "results.json"], files.as_json("test", "simulated", [result]))
    stored = ResultsFile.model_validate_json((tmp_path / "results.json").read_text())
    (row,) = stored.trials
    assert row.models == {"router": spec.model}
    assert stored.topologies[spec.topology]["id"]
    lines = (tmp_path / row.files["trace"]).read_text()
    reader: TypeAdapter[object] = TypeAdapter(TraceLine)
    for line in lines.splitlines():
        reader.validate_json(line)
    assert from_json_lines(lines).to_json_lines() == trace.to_json_lines()
    assert json.loads((tmp_path / "provenance.json").read_text())["python"]
    assert "date" not in (tmp_path / "results.json").read_text()


def test_a_vendors_result_says_what_its_card_covers(tmp_path: Path) -> None:
    result, _ = worker.run_traced(TrialSpec("home", "asus", "register"), ExplainedFolder(tmp_path))
    (row,) = files.as_json("test", "simulated", [result])["trials"]
    assert row["vendors"]["asus"]["covers"]
