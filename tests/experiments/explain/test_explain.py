"""Explanations name the message, the part and the rule that each fault is documented to break."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from siplab.experiments.explain import Explanation, explain
from siplab.experiments.explain import explained as explained_trial
from siplab.experiments.explain.comparison import deviations
from siplab.experiments.output.journeys import Journey, journeys_of
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import DEFAULT, STRICT, Pair
from siplab.experiments.trial.result import Basis, TrialResult
from siplab.experiments.trial.spec import TrialSpec, seed_of
from siplab.lab.gateway.fate import Fate
from siplab.lab.worlds.trace import Lost, Noted, Passage, Remark, Trace, from_json_lines
from tests import grid
from tests.command import one_line_error, siplab
from tests.conftest import ROOT

# Model, scenario, and what has to be said of the first failed check: what kind of action, on which message,
# which of its parts, and the rule. Written from what each fault is documented to do.
DOCUMENTED = (
    ("semicolon-loss", "register", "changed", "REGISTER", "Via", "RFC 3261 25.1"),
    ("semicolon-loss", "outgoing-call", "changed", "REGISTER", "Via", "RFC 3261 25.1"),
    ("blind-ip-replace", "register", "not-restored", "REGISTER", "Via", "RFC 3261 18.1.2"),
    ("call-id-rewrite", "register", "not-restored", "REGISTER", "Call-ID", "RFC 3261 8.2.6.2"),
    ("non5060-ignored", "register", "setting", "", "match", ""),
    ("response-not-translated-back", "register", "not-restored", "REGISTER", "Via", "RFC 3261 18.1.2"),
    ("via-not-restored-some-codes", "register", "not-restored", "REGISTER", "Via", "RFC 3261 18.1.2"),
    ("via-branch-altered", "register", "not-restored", "REGISTER", "Via", "RFC 3261 17.1.3"),
    ("via-branch-altered(mode=removed)", "register", "not-restored", "REGISTER", "Via", "RFC 3261 17.1.3"),
    ("via-rport-stripped", "register", "changed", "REGISTER", "Via", "RFC 3581 4"),
    ("port-overflow", "register", "changed", "REGISTER", "Contact", "RFC 3261 19.1.1"),
    ("port-overflow(mode=sum)", "outgoing-call", "changed", "INVITE with SDP", "SDP m=", "RFC 8866 5.14"),
    (
        "content-length-stale",
        "outgoing-call",
        "stale-length",
        "INVITE with SDP",
        "Content-Length",
        "RFC 3261 18.3",
    ),
    (
        "content-length-stale",
        "incoming-call",
        "stale-length",
        "200 OK (INVITE)",
        "Content-Length",
        "RFC 3261 18.3",
    ),
    ("digest-uri-mismatch(names=true)", "register", "changed", "REGISTER", "start line", "RFC 3261 16.6"),
    (
        "contact-inbound-clobbered",
        "outgoing-call",
        "changed",
        "200 OK (INVITE)",
        "Contact",
        "RFC 3261 12.1.2",
    ),
    ("record-route-mangled", "outgoing-call", "changed", "200 OK (INVITE)", "Record-Route", "RFC 3261 16.6"),
    ("record-route-mangled", "incoming-call", "changed", "INVITE with SDP", "Record-Route", "RFC 3261 16.6"),
    ("ack-2xx-lost", "outgoing-call", "dropped", "ACK", "", "RFC 3261 13.3.1.4"),
    ("ack-2xx-lost", "hold", "dropped", "ACK", "", "RFC 3261 13.3.1.4"),
    ("ack-2xx-lost(direction=inbound)", "incoming-call", "dropped", "ACK", "", "RFC 3261 13.3.1.4"),
    ("fragment-drop", "large-invite", "dropped", "INVITE with SDP", "", "RFC 4787 11"),
    ("port5060-hijack", "register", "answered", "REGISTER", "", "RFC 3261 8.1.2"),
    ("port5060-hijack(proxy=silent)", "register", "dropped", "REGISTER", "", ""),
    ("unknown-method-dropped", "message", "dropped", "MESSAGE", "", "RFC 3261 16.3"),
    ("unknown-method-dropped", "transfer", "dropped", "REFER", "", "RFC 3261 16.3"),
    ("unknown-method-dropped", "early-media", "dropped", "PRACK", "", "RFC 3261 16.3"),
    ("udp-checksum-bad", "register", "damaged", "REGISTER", "", "RFC 768"),
    ("udp-binding-short", "incoming-call", "binding-expired", "BYE", "", "RFC 4787 4.3"),
    ("wrong-inside-port", "register", "misdelivered", "401 Unauthorized (REGISTER)", "", "RFC 4787 4.1"),
    (
        "wrong-inside-port(messages=requests)",
        "incoming-call",
        "misdelivered",
        "INVITE with SDP",
        "",
        "RFC 4787 4.1",
    ),
    ("sdp-m-only", "two-phones", "untranslated", "200 OK (INVITE)", "SDP c=", "RFC 3264 5.1"),
    ("sdp-c-only", "two-phones", "untranslated", "200 OK (INVITE)", "SDP m=", "RFC 3264 5.1"),
    ("blind-ip-replace(reverse=true)", "message", "changed", "MESSAGE", "body", "RFC 3261 16.6"),
    (
        "expires-altered(of=response,seconds=3600)",
        *("re-register", "changed", "200 OK (REGISTER)", "Contact", "RFC 3261 10.2.4"),
    ),
)
MODELS = [model.id for model in trial.models().runnable() if model.card.kind != "profile"]


def explained(spec: TrialSpec) -> tuple[TrialResult, Trace]:
    result, trace = trial.run(spec)
    return explained_trial(result, trace), trace


def _journeys(trace: Trace) -> list[Journey]:
    return [each for each in journeys_of(trace, trial.network("home")) if each.sent is not None]


def first(model: str, scenario: str, topology: str = "home", pair: Pair = STRICT) -> Explanation:
    result, _ = explained(TrialSpec(topology, model, scenario).between(pair))
    assert result.explanation, "no check failed"
    return result.explanation[0]


@pytest.mark.parametrize(
    ("model", "scenario", "kind", "message", "part", "rule"),
    DOCUMENTED,
    ids=[f"{row[0]}-{row[1]}" for row in DOCUMENTED],
)
def test_what_a_fault_is_documented_to_do(
    model: str, scenario: str, kind: str, message: str, part: str, rule: str
) -> None:
    found = first(model, scenario)
    assert (found.kind, found.message, found.router) == (kind, message, "router")
    assert part in ("", *found.parts)
    assert rule in found.rule
    assert found.text.startswith("Passes if the router ")
    assert found.basis is Basis.UNDONE
    if rule and kind in ("changed", "not-restored", "stale-length"):
        assert "` became `" in found.text


# A mark stands in the header of IP; what is counted over months has no one message.
NO_MESSAGE = ("marked-call", "long-uptime")


@pytest.mark.parametrize("share", [grid.SHARE, pytest.param(None, marks=pytest.mark.deep)])
@pytest.mark.parametrize("model", MODELS)
def test_every_failure_has_a_message_that_the_router_had(model: str, share: int | None) -> None:
    for spec in grid.some(grid.specs(model), share):
        played = grid.played(spec)
        failed = [each.name for each in played.result.checks if not each.passed]
        assert [each.check for each in played.explanation] == failed
        if played.has_tcp:
            continue  # segments are no messages: what is named may be a part of one
        for each in played.explanation:
            if spec.scenario in NO_MESSAGE and not each.router:
                continue
            assert each.router == "router", each
            named = [
                crossing
                for crossing in played.crossings
                if (crossing.now, crossing.label) == (each.now, each.message) and crossing.met_router
            ]
            assert named, f"nothing like this passed the router: {each}"
            if each.kind in ("changed", "not-restored", "stale-length"):
                assert any(crossing.changed for crossing in named), each
            elif each.kind != "remarked":  # its bytes came as they were
                assert any(crossing.lost for crossing in named), each


def test_the_documentation_is_not_asked(tmp_path: Path) -> None:
    """A model that nobody has documented is explained in the same words."""
    source = ROOT / "alg_models" / "faults" / "semicolon_loss.py"
    text = source.read_text()
    mine = tmp_path / "mine.py"
    mine.write_text(text.replace('id="semicolon-loss"', 'id="mine"').replace("25.1", "99.9"))
    own, _ = explained(TrialSpec("home", "mine", "register", model_paths=(str(mine),)))
    other = first("semicolon-loss", "register")
    assert (own.explanation[0].parts, own.explanation[0].rule) == (other.parts, other.rule)


MINE = """
from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source


@dataclass(frozen=True)
class DropMessages:
    reason: str = "x"

    def recipe(self):
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message, context):
        if message.method == b"MESSAGE" and message.is_request:
            context.drop(self.reason)


MODEL = Model(
    id="mine",
    card=Card(
        summary="Drops every MESSAGE.",
        examples=(Example("register", b"Max-Forwards: 70", b"Max-Forwards: 70"),),
        rules=("RFC 3261 16.3",),
        symptom="Text messages do not arrive.",
        sources=(Source("a test", Evidence.INFERENCE),),
    ),
    fault=DropMessages(),
)
"""
REASONS = (
    "no binding of mine",
    "answered by mistake",
    "filtered: no",
    "a fragment of wisdom",
    "wrong checksum",
    "lost on the network",
    "alice is not registered (RFC 9999 1)",
    "no hairpinning is not this router's way",
)


def told(result: TrialResult) -> list[tuple[object, ...]]:
    return [(e.check, e.kind, e.message, e.router, e.parts, e.rule, e.now) for e in result.explanation]


@pytest.mark.parametrize("reason", REASONS)
def test_what_a_model_says_of_a_drop_decides_nothing(tmp_path: Path, reason: str) -> None:
    found: list[TrialResult] = []
    for said in ("x", reason):
        path = tmp_path / f"{len(found)}.py"
        path.write_text(MINE.replace('"x"', repr(said)))
        found.append(explained(TrialSpec("home", "mine", "message", model_paths=(str(path),)))[0])
    one, two = found
    assert told(one)[0][1:4] == ("dropped", "MESSAGE", "router")
    assert told(one) == told(two)
    assert f"dropped the MESSAGE from the phone to the registrar: {reason}." in two.explanation[0].text


@pytest.mark.parametrize(
    ("model", "scenario"),
    [
        ("semicolon-loss", "outgoing-call"),
        ("call-id-rewrite", "register"),
        ("via-branch-altered", "register"),
        ("port-overflow(mode=sum)", "outgoing-call"),
        ("content-length-stale", "incoming-call"),
        ("digest-uri-mismatch(names=true)", "register"),
        ("contact-inbound-clobbered", "transfer"),
        ("ack-2xx-lost", "hold"),
        ("port5060-hijack", "register"),
        ("fragment-drop", "large-invite"),
        ("udp-checksum-bad", "register"),
        ("udp-binding-short", "incoming-call"),
        ("expires-altered(of=response,seconds=3600)", "re-register"),
    ],
)
def test_nothing_is_read_out_of_sentences(model: str, scenario: str) -> None:
    """With other words in every record, and as it comes back from a file, a trace is explained the same."""
    spec = TrialSpec("home", model, scenario).between(STRICT)
    result, trace = explained(spec)
    other = Trace()
    for number, each in enumerate(from_json_lines(trace.to_json_lines())):
        words = f"{REASONS[number % len(REASONS)]}: 481 to BYE: Via, Contact and Call-ID of media"
        if isinstance(each, Passage):
            emissions = [emission._replace(detail=words) for emission in each.emissions]
            other.add(each._replace(emissions=emissions))
        elif isinstance(each, Lost | Noted | Remark):
            other.add(each._replace(detail=words))
        else:
            other.add(each)
    found = explain(result.checks, other, trial.network("home"), seed_of(spec))
    assert told(replace(result, explanation=found)) == told(result) != []


def test_a_check_says_what_it_is_about() -> None:
    """By a field: its name and symptom are free."""
    result, trace = explained(TrialSpec("two-sites", "none", "outgoing-call").between(STRICT))
    named = [replace(each, name=f"check {number}") for number, each in enumerate(result.checks)]
    found = explain(named, trace, trial.network("two-sites"))
    assert [each.kind for each in found] == [each.kind for each in result.explanation]
    assert {each.name for each in result.checks if each.about == "media"} == {"callee hears", "caller hears"}


def test_checks_that_fail_for_one_reason_say_so() -> None:
    result, _ = explained(TrialSpec("home", "semicolon-loss", "register"))
    one, other = result.explanation
    assert (one.check, other.check) == ("registered", "known to the server")
    assert other.text.startswith("For the same reason as 'registered'.")
    assert other.text.endswith(result.checks[1].symptom)


@pytest.mark.parametrize("proven", [True, False])
def test_a_mark_that_was_changed_is_named(proven: bool) -> None:
    """With its values and the packet, also where nothing was run again; its messages are a correct ALG's."""
    spec = TrialSpec("home", "dscp-rewritten(dscp=10)", "marked-call")
    result, trace = explained(spec)
    found = result.explanation[0]
    if not proven:
        (found,) = explain(result.checks, trace, trial.network("home"), seed_of(spec))
    assert (found.check, found.kind, found.router) == ("keeps its mark", "remarked", "router")
    assert (found.message, found.sender) == ("REGISTER", "phone")
    assert "DSCP 10 in the place of 46" in found.text
    assert found.confirmed is proven


# -- failures that no ALG caused ---------------------------------------------------------------------


def test_a_binding_that_was_forgotten() -> None:
    found = first("none", "incoming-call(idle=70)")
    assert (found.kind, found.message, found.rule) == ("binding-expired", "INVITE with SDP", "RFC 4787 4.3")
    assert "nothing had left by it for 70 s" in found.text


def test_a_binding_that_lasted_as_long_as_it_has_to_breaks_no_rule() -> None:
    found = first("none", "incoming-call(idle=150)")
    assert (found.kind, found.rule) == ("binding-expired", "")


def test_a_private_address_in_the_sdp() -> None:
    result, _ = explained(TrialSpec("two-sites", "none", "outgoing-call").between(STRICT))
    found = next(each for each in result.explanation if each.check == "callee hears")
    assert (found.kind, found.message, found.router) == ("untranslated", "200 OK (INVITE)", "")
    assert "names 172.16.20.20, an address that exists behind a router only" in found.text


# -- the parts ---------------------------------------------------------------------------------------


def test_nothing_failed_nothing_to_explain() -> None:
    result, _ = explained(TrialSpec("home", "correct", "register"))
    assert result.explanation == []
    assert explain(result.checks, Trace(), trial.network("home")) == []


def test_a_router_without_a_fault_deviates_from_nothing() -> None:
    network = trial.network("home")
    for model in ("none", "correct"):
        _, trace = trial.run(TrialSpec("home", model, "outgoing-call"))
        journeys = [each for each in journeys_of(trace, network) if each.sent is not None]
        assert deviations(trace, network, journeys) == []


def test_a_trace_comes_back_from_its_file_as_it_was() -> None:
    _, trace = trial.run(TrialSpec("home", "semicolon-loss", "outgoing-call"))
    again = from_json_lines(trace.to_json_lines())
    assert again.records == trace.records


def test_what_is_no_trace_names_its_line() -> None:
    with pytest.raises(ValueError, match="line 1 is no record of a trace"):
        from_json_lines('{"kind": "rumour"}\n')


# -- commands ----------------------------------------------------------------------------------------


def stored(folder: Path, *options: str) -> list[dict[str, object]]:
    path = folder / "two.yaml"
    path.write_text("id: two\nmodels: [none, semicolon-loss]\nscenarios: [register]\nworld: simulated\n")
    done = siplab("run", str(path), "--out", str(folder / "out"), *options)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = json.loads((folder / "out" / "results.json").read_text())["trials"]
    return rows


@pytest.mark.parametrize("traces", ["none", "failed", "all"])
def test_a_stored_run_is_explained(tmp_path: Path, traces: str) -> None:
    rows = stored(tmp_path, "--traces", traces)
    assert ["explanation" in each for each in rows] == [False, traces == "all"]
    expected = first("semicolon-loss", "register", pair=DEFAULT).text
    for place in ("out", "out/results.json", "out/results.jsonl"):
        done = siplab("explain", str(tmp_path / place), "--json")
        assert done.returncode == 0, done.stderr
        (found,) = json.loads(done.stdout)
        assert found["trial"] == "semicolon-loss__register__seed1"
        assert found["explanation"][0]["text"] == expected


def test_a_result_without_an_explanation_gets_one_from_its_trace(tmp_path: Path) -> None:
    stored(tmp_path, "--traces", "all")
    path = tmp_path / "out" / "results.json"
    done = siplab("explain", str(path), "--json")
    kept = json.loads(done.stdout)[0]["explanation"]
    assert kept[0]["basis"] == "undone"
    data = json.loads(path.read_text())
    assert data["trials"][1].pop("explanation")[0]["basis"] == "mechanism"
    path.write_text(json.dumps(data))
    done = siplab("explain", str(path), "--json", "--trial", "semicolon")
    assert json.loads(done.stdout)[0]["explanation"] == kept


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere",), "nowhere: no such file or folder"),
        (("",), "no results.json in it"),
        (("out", "--trial", "rumour"), "no trial is called 'rumour'"),
        (("two.yaml",), "no results of `siplab run`"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    stored(tmp_path)
    place, *options = arguments
    one_line_error(siplab("explain", str(tmp_path / place), *options), words)


def test_a_call_says_why_below_the_check() -> None:
    done = siplab("call", "--model", "semicolon-loss", "--scenario", "register", "--world", "simulated")
    words = " ".join(done.stdout.split())
    assert (
        "why: Passes if the router writes Via of each REGISTER going out as a correct ALG does "
        "(undone alone; 8 runs). "
        "At 0.000 s the router changed the Via of the REGISTER from the phone to the registrar" in words
    )


def test_the_same_trial_has_the_same_explanation() -> None:
    spec = TrialSpec("home", "contact-inbound-clobbered", "transfer")
    once, again = explained(spec)[0], explained(replace(spec))[0]
    assert once.explanation == again.explanation


_MODEL = """
from dataclasses import dataclass
from siplab.lab.gateway.alg import Card, Model, Recipe

@dataclass(frozen=True)
class Acts:
    def apply(self, message, context):
        {action}

MODEL = Model("acts", Card("For this test."), Recipe(last=(Acts(),)))
"""


def acting(folder: Path, action: str, **what: str) -> tuple[TrialResult, Trace]:
    """A trial of a model that does this to every message."""
    path = folder / "acts.py"
    path.write_text(_MODEL.format(action=action), encoding="utf-8")
    return explained(TrialSpec("home", "acts", model_paths=(str(path),), **what))  # type: ignore[arg-type]


@pytest.mark.parametrize("what", [{"scenario": "register"}, {"detector": "combined"}])
def test_a_wrong_type_from_a_model_makes_the_trial_invalid(what: dict[str, str], tmp_path: Path) -> None:
    result, _ = acting(tmp_path, "context.answer(message)", **what)
    assert result.outcome == "error"
    assert result.errors == ["the model raised TypeError: context.answer takes bytes, not SipMessage"]
    assert result.finding is None or result.finding.verdict != "error"


@pytest.mark.parametrize(
    "reason", ["no binding of mine", "answered by mistake", "filtered: by me", "wrong checksum", "a fragment"]
)
def test_a_reason_of_a_model_decides_nothing(reason: str, tmp_path: Path) -> None:
    """Whatever words a model gives for a drop, it is the model that dropped."""
    told: list[tuple[Explanation, list[Journey], set[Fate]]] = []
    for why in ("x", reason):
        (tmp_path / why).mkdir()
        result, trace = acting(tmp_path / why, f"context.drop({why!r})", scenario="register")
        fates = {e.fate for each in trace.passages for e in each.emissions if e.side is None}
        told.append((result.explanation[0], _journeys(trace), fates))
    (plain, journeys, fates), (found, others, same) = told
    assert same == fates == {Fate.DROPPED_BY_MODEL}
    assert (found.kind, found.rule, found.now) == (plain.kind, plain.rule, plain.now)
    assert (found.kind, found.router) == ("dropped", "router")
    assert found.text == plain.text.replace("x.", f"{reason}.", 1)
    assert [each.path for each in others] == [each.path for each in journeys]
    assert [each.notes for each in others] == [
        [note.replace("ALG: x", f"ALG: {reason}") for note in each.notes] for each in journeys
    ]
