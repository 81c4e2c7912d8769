"""What is said of a failed check comes true when the trial is run again: claims, texts, what they cost."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siplab.experiments.explain import explain, explained
from siplab.experiments.explain.proof import Proof, prove
from siplab.experiments.explain.what_if import what_if
from siplab.experiments.trial import registry, runner
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.counterfactual.actions import parse
from siplab.experiments.trial.counterfactual.replay import Replayer
from siplab.experiments.trial.result import Basis, Explanation, TrialResult
from siplab.experiments.trial.spec import TrialSpec, seed_of
from siplab.lab.errors import UsageError
from tests.command import one_line_error, siplab
from tools import causes

PLAIN = {"phone": "plain", "server": "rport-aware"}
STRICT = {"phone": "plain", "server": "strict-addresses"}


def spec_of(topology: str, model: str, scenario: str, **more: Any) -> TrialSpec:
    """A trial with the endpoints of ``PLAIN``, unless it names others."""
    return TrialSpec(topology, model, scenario, **{**PLAIN, **more})


def why(topology: str, model: str, scenario: str, **more: Any) -> Explanation:
    """The explanation of the first failed check."""
    result, trace = trial.run(spec_of(topology, model, scenario, **more))
    assert not result.errors
    found = explained(result, trace).explanation
    assert found, "no check failed"
    return found[0]


def classes(found: Explanation) -> set[str]:
    """The classes of what has to be undone, whatever the direction."""
    return {str(each.of_class).removesuffix(" in").removesuffix(" out") for each in found.undone}


# -- every claim, of a sample and of all ---------------------------------------------------------------


def sample(count: int) -> list[TrialSpec]:
    """Trials that are known to fail, with both pairs of endpoints by turns."""
    names = [item.id for item in registry.scenarios()]
    known = []
    for model in trial.models().runnable():
        words = model.card.breaks
        broken = names if "all" in words else [each for each in words if each[0] != "-"]
        known += [(model.id, each) for each in broken if f"-{each}" not in words]
    chosen = random.Random("causes").sample(known, count)
    pairs = [*causes.PAIRS.values()] * count
    return [TrialSpec("home", *each).between(pair) for each, pair in zip(chosen, pairs, strict=False)]


def test_what_is_said_of_a_failed_check_comes_true() -> None:
    found = [each for each in map(causes.row, sample(80)) if each is not None]
    assert len(found) > 40
    held(causes.figures(found))


@pytest.mark.deep
@pytest.mark.parametrize("pair", causes.PAIRS)
def test_what_is_said_of_every_failed_check_comes_true(pair: str) -> None:
    held(causes.figures(causes.rows(list(causes.matrix(causes.PAIRS[pair])), jobs=2)))


@pytest.mark.deep
def test_what_is_said_of_what_the_cards_show_comes_true() -> None:
    found = causes.rows(list(causes.shown()), jobs=2)
    assert len(found) == len(list(causes.shown()))
    held(causes.figures(found))


def held(sums: causes.Figures) -> None:
    assert sums.proven >= 0.99
    assert (sums.holds, sums.same_again) == (1, 1)
    assert sums.one_class >= 0.9
    assert sums.runs <= 20


# -- whom to blame -------------------------------------------------------------------------------------

BLAMED: tuple[tuple[str, str, str, dict[str, str], set[str]], ...] = (
    ("two-phones", "two-phones-collision", "fork", PLAIN, {"delivery"}),
    ("home", "sdp-c-only", "outgoing-call", STRICT, {"SDP m="}),
    ("home", "sdp-m-only", "outgoing-call", STRICT, {"SDP c="}),
    ("home", "second-stream-ignored(handled=first)", "video", STRICT, {"SDP m="}),
    ("home", "blind-ip-replace", "media-silence", PLAIN, {"Via", "Call-ID"}),
    ("home", "call-id-rewrite+semicolon-loss", "register", PLAIN, {"Via", "Call-ID"}),
    ("home", "record-route-mangled+ack-2xx-lost", "outgoing-call", PLAIN, {"Record-Route", "drop"}),
    (
        *("home", "record-route-mangled+contact-inbound-clobbered+ack-2xx-lost", "outgoing-call", PLAIN),
        {"Record-Route", "Contact", "drop"},
    ),
    ("home", "port5060-hijack", "register", PLAIN, {"answer"}),
    ("home", "fragment-unprocessed", "large-invite", STRICT, {"policy fragments"}),
    ("home", "mapping-not-stable", "re-register", PLAIN, {"mapping"}),
)
# What the cards of these show, and what has to be undone for it.
SHOWN = {
    "case-sensitive-name": {"Via"},
    "one-direction-only": {"Contact"},
    "exact-spacing": {"Via"},
    "nat-hidden-no-keepalive": {"state of 200 OK (REGISTER)"},
    "media-idle-blocked": {"state of INVITE with SDP"},
    "keepalive-crlf-swallowed": {"policy non_sip"},
    "contact-portless-ignored": {"Contact"},
    "header-folding-ignored": {"Contact"},
    "late-offer-unhandled": {"SDP c=", "SDP m="},
    "record-route-ignored": {"Record-Route"},
    "tcp-ignored": {"policy transports"},
    "tcp-split-unprocessed": {"policy tcp"},
    "refer-headers-ignored": {"Refer-To"},
    "sdp-origin-mismatch": {"SDP o="},
    "pinhole-hijack": {"state of REGISTER"},
    "media-sport-not-mapped": {"nat media_symmetry"},
    # What a router has in it since a restart is looked at, too.
    "early-packet-poisons": {"drop"},
    "on-again-after-restart": {"Via", "Call-ID"},
}


@pytest.mark.parametrize(
    ("topology", "model", "scenario", "ends", "blamed"), BLAMED, ids=[f"{e[1]}-{e[2]}" for e in BLAMED]
)
def test_the_action_that_it_takes_is_blamed(
    topology: str, model: str, scenario: str, ends: dict[str, str], blamed: set[str]
) -> None:
    found = why(topology, model, scenario, **ends)
    assert (found.basis, classes(found)) == (Basis.UNDONE, blamed)


def test_who_opens_no_pinhole_is_not_blamed_for_the_length_of_a_body() -> None:
    """Who undoes Content-Length opens none: what has to be undone is what was written about media."""
    assert {"SDP c=", "SDP m="} == classes(why("home", "danos", "direct-call", **PLAIN))


def test_messages_are_named_only_where_these_alone_cure() -> None:
    row = causes.row(spec_of("home", "danos", "direct-call", **PLAIN))
    assert row is not None
    assert row.proven
    assert row.holds


@pytest.mark.parametrize("model", SHOWN)
def test_what_a_card_shows_is_blamed_on_its_fault(model: str) -> None:
    for each in trial.models().get(model).card.shows:
        spec = trial.models().get(model).with_parameters(each.variant).id
        found = why(each.topology, spec, each.scenario, phone=each.phone, server=each.server)
        assert (found.basis, classes(found)) == (Basis.UNDONE, SHOWN[model])


@pytest.mark.parametrize(
    ("topology", "scenario", "more"),
    [
        ("home", "incoming-call(idle=70)", PLAIN),
        ("home", "register", {"phone": "legacy", "server": "rport-aware"}),
        ("home(loss=0.15)", "long-call(duration=20)", PLAIN),
        ("two-sites", "outgoing-call", PLAIN),
        ("home", "outgoing-call", STRICT),
        ("short-timers", "incoming-call(idle=70)", {}),
    ],
)
def test_a_router_without_an_alg_is_blamed_for_nothing(
    topology: str, scenario: str, more: dict[str, str]
) -> None:
    result, trace = trial.run(spec_of(topology, "none", scenario, **more))
    found = explained(result, trace).explanation
    assert {each.basis for each in found} == {Basis.NOT_THE_ALG}
    assert not any(each.undone or each.also for each in found)
    assert found[0].text.startswith("Not an ALG's: ")


def test_a_failure_that_no_alg_caused_is_not_the_algs() -> None:
    found = why("home(loss=0.15)", "contact-first-only", "long-call(duration=20)")
    assert (found.basis, found.undone) == (Basis.NOT_THE_ALG, ())
    assert found.text.startswith("Not the ALG's: with all that it did undone the check fails too (")


def test_a_router_that_makes_no_mistake_may_be_one_too_many() -> None:
    found = why("home", "correct", "register", phone="stun")
    assert (found.basis, found.reference, classes(found)) == (Basis.UNDONE, "none", {"Via"})


OWN = """
from dataclasses import dataclass
from siplab.lab.gateway.alg import Card, Model, Recipe

@dataclass(frozen=True)
class Acts:
    def apply(self, message, context):
        {action}

MODEL = Model("acts", Card("For this test."), Recipe(last=(Acts(),)))
"""


def own(folder: Path, action: str) -> tuple[str, ...]:
    path = folder / "acts.py"
    path.write_text(OWN.format(action=action))
    return (str(path),)


def test_what_a_router_removes_is_blamed_and_not_what_it_left(tmp_path: Path) -> None:
    """A private Contact passes this router, as it passes one without an ALG: that it must not blame."""
    paths = own(
        tmp_path, "message.fields = [each for each in message.fields if each.name != b'record-route']"
    )
    found = why("home", "acts", "incoming-call", model_paths=paths)
    assert classes(found) == {"Record-Route"}
    assert "leaves Record-Route of the INVITE as it was" in found.text
    assert "Contact" not in found.text
    assert "192.168.1.102, an address" not in found.text


@pytest.mark.parametrize("reason", ["no binding for a call of a stranger", "x"])
def test_the_words_of_a_drop_change_nothing(tmp_path: Path, reason: str) -> None:
    action = f"if message.method == b'INVITE' and not context.outbound: context.drop({reason!r})"
    found = why("home", "acts", "incoming-call", model_paths=own(tmp_path, action))
    assert [str(each) for each in found.undone] == ["drop of INVITE with SDP in"]
    assert found.kind == "dropped"


# -- what is said ----------------------------------------------------------------------------------------


def test_one_part_of_one_message() -> None:
    found = why("home", "record-route-mangled", "outgoing-call")
    assert found.text.startswith(
        "Passes if the router leaves Record-Route of the 200 OK (INVITE) as it was (undone alone; 8 runs). "
        "At 2.000 s the router changed the Record-Route of the 200 OK (INVITE) from the registrar to the "
    )
    (action,) = found.undone
    assert (str(action), action.nth) == ("Record-Route of 200 OK (INVITE) in", 1)
    assert found.confirmed


def test_what_was_left_undone() -> None:
    found = why("home", "sdp-c-only", "outgoing-call", **STRICT)
    assert "Passes if the router translates SDP m= of the 2nd INVITE going out" in found.text
    assert "the router left the SDP m= of the INVITE from the phone to the registrar as it was." in found.text
    assert "2001 times in all" in found.text  # packets, not those of them that were carried one by one


def test_of_two_things_that_a_router_left_undone_each_check_has_its_own() -> None:
    result, trace = trial.run(spec_of("home", "one-direction-only", "incoming-call", **STRICT))
    call, media = explained(result, trace).explanation
    assert (call.check, classes(call)) == ("stays up", {"Contact"})
    assert "the router left the Contact of the 200 OK (INVITE) from the phone to the" in call.text
    assert (media.check, classes(media)) == ("callee hears", {"SDP c=", "SDP m="})
    assert "The SDP of the 200 OK (INVITE) from the registrar" in media.text


def test_who_opened_a_pinhole() -> None:
    found = why("home", "pinhole-hijack", "stale-pinhole(after=web-page)")
    assert "by the REGISTER from the phone to the far-phone, the router opened the pinhole " in found.text
    assert "203.0.113.7:61004 to 192.168.1.102:40502 for anybody." in found.text


def test_who_left_a_pinhole_open() -> None:
    found = why("home", "pinhole-left-open", "stale-pinhole")
    assert "by the 200 OK (BYE) from the registrar to the phone, the router did nothing to its " in found.text
    assert "done right, it would have closed the pinhole 203.0.113.7:61004 to " in found.text


def test_an_earlier_copy_went_elsewhere() -> None:
    """The second phone answers 482, for it got both: the first was not meant for it."""
    found = why("two-phones", "two-phones-collision", "fork")
    assert (found.kind, found.message) == ("misdelivered", "INVITE with SDP")
    assert "The phone-2 answered 482" in found.text


def test_what_a_setting_means() -> None:
    found = why("home", "media-sport-not-mapped", "outgoing-call", phone="plain", server="strict-media")
    assert "has the usual NAT setting 'media_symmetry': True, not False (undone alone; " in found.text
    assert "sends the media of inside hosts from other ports than those that it wrote into" in found.text


def test_two_routers_are_told_apart() -> None:
    found = why("two-sites", "semicolon-loss", "outgoing-call")
    assert {each.gateway for each in found.undone} == {"router"} == {found.router}


def test_checks_that_one_cure_cures_share_it() -> None:
    result, trace = trial.run(spec_of("home", "semicolon-loss", "two-phones"))
    proofs = prove(result.spec, result.checks)
    failed = [each.name for each in result.checks if not each.passed]
    assert list(proofs) == failed
    replayer = Replayer(result.spec)
    for name, proof in proofs.items():
        assert proof.cure is not None
        assert replayer.run([name], proof.cure.actions).passes(name)
    assert sum(each.runs for each in {id(each): each for each in proofs.values()}.values()) <= 12
    texts = [each.text for each in explained(result, trace).explanation]
    assert sum(each.startswith("For the same reason as ") for each in texts) >= len(failed) - 2


def test_what_is_kept_of_it_is_enough_to_run_it_again() -> None:
    result, trace = trial.run(spec_of("home", "via-branch-altered", "register"))
    row = json.loads(json.dumps(explained(result, trace).as_json()))
    (kept, *_) = row["explanation"]
    assert (kept["basis"], kept["reference"]) == ("undone", "correct")
    actions = [parse(" ".join(_words(each))) for each in kept["undone"]]
    assert Replayer(result.spec).run([kept["check"]], actions).passes(kept["check"])


def _words(row: dict[str, str]) -> list[str]:
    return [row["part"], f"of {row['label']}", row["direction"]]


# -- where it can't be run again -------------------------------------------------------------------------


def test_a_trial_of_the_kernels_keeps_the_mechanism_alone() -> None:
    spec = spec_of("home", "semicolon-loss", "register", gateway="kernel")
    result, trace = trial.run(spec_of("home", "semicolon-loss", "register"))
    proofs = prove(spec, result.checks)
    assert proofs["registered"] == Proof(obstacle="the kernel did the router's work")
    found = explain(result.checks, trace, trial.network("home"), seed_of(result.spec), proofs)[0]
    assert (found.basis, found.undone, found.kind) == (Basis.MECHANISM, (), "changed")
    assert found.text.startswith(
        "Not run again, so not proven: the kernel did the router's work. At 0.000 s "
    )


def test_a_model_that_nobody_names_any_more_is_not_cleared() -> None:
    spec = spec_of("home", "acts", "register")
    result, trace = trial.run(spec_of("home", "semicolon-loss", "register"))
    proofs = prove(spec, result.checks)
    found = explain(result.checks, trace, trial.network("home"), seed_of(result.spec), proofs)[0]
    assert (found.basis, found.kind) == (Basis.MECHANISM, "changed")
    assert found.text.startswith("Not run again, so not proven: unknown model 'acts'")
    with pytest.raises(UsageError, match="can't be run again: unknown model 'acts'"):
        what_if(spec, ["registered"], [parse("Via")])


def test_of_checks_with_one_name_none_is_taken_for_the_other() -> None:
    spec = spec_of("home", "semicolon-loss", "register")
    checks = trial.run(spec)[0].checks
    proofs = prove(spec, [replace(checks[0], passed=True), checks[0], checks[1]])
    assert proofs["registered"] == Proof(obstacle="several checks have this name")
    assert proofs["known to the server"].cure is not None


def test_an_invalid_trial_is_not_run_again(tmp_path: Path) -> None:
    spec = spec_of("home", "acts", "register", model_paths=own(tmp_path, "raise ValueError"))
    result, trace = trial.run(spec)
    assert result.errors
    assert all(each.basis is Basis.MECHANISM for each in explained(result, trace).explanation)


@pytest.mark.needs("emulated")
def test_an_emulated_trial_is_explained_by_simulated_ones() -> None:
    spec = spec_of("home", "record-route-mangled", "outgoing-call")

    def told(world: str) -> list[Explanation]:
        result, trace = runner.run_traced(spec, world)
        return explained(result, trace).explanation

    assert told("emulated") == told("simulated") != []


# -- what if ---------------------------------------------------------------------------------------------


def test_what_if_it_had_not() -> None:
    spec = spec_of("home", "record-route-mangled", "outgoing-call")
    answer = what_if(spec, ["stays up"], [parse("Record-Route in")])
    assert answer.checks == {"stays up": "passes with a correct ALG's in its place"}
    assert what_if(spec, ["stays up"], [parse("Via out")]).checks == {"stays up": "fails"}
    with pytest.raises(UsageError, match=r"no router did 'Refer-To in'; there is: .*'Record-Route in'"):
        what_if(spec, ["stays up"], [parse("Refer-To in")])


def test_what_if_with_no_alg_in_its_place() -> None:
    answer = what_if(
        TrialSpec("home", "correct", "register", phone="stun"), ["registered"], [parse("Via in")]
    )
    assert answer.checks == {"registered": "passes with no ALG's in its place"}


def test_the_command_answers_what_if(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("id: one\nmodels: [semicolon-loss]\nscenarios: [register]\nworld: simulated\n")
    assert siplab("run", str(path), "--out", str(tmp_path / "out")).returncode == 0
    done = siplab("explain", str(tmp_path / "out"), "--undo", "Via out")
    assert done.returncode == 0, done.stderr
    assert "registered: passes with a correct ALG's in its place (" in " ".join(done.stdout.split())
    done = siplab("explain", str(tmp_path / "out"), "--undo", "Via out", "--json")
    (answer,) = json.loads(done.stdout)
    assert answer["checks"]["registered"].startswith("passes")
    one_line_error(siplab("explain", str(tmp_path / "out"), "--undo", "Refer-To"), "no router did 'Refer-To'")
    one_line_error(siplab("explain", str(tmp_path / "out"), "--undo", ""), "is no action of a router")


def test_nothing_is_undone_in_the_result_itself() -> None:
    """The trial that is told of is the one that was run: the proofs are runs of their own."""
    spec = spec_of("home", "semicolon-loss", "register")
    result, trace = trial.run(spec)
    before = result.checks, trace.to_json_lines()
    told: TrialResult = explained(result, trace)
    assert (told.checks, trace.to_json_lines()) == before
