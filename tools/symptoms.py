"""``python -m tools.symptoms``: every symptom, and the check that detects it.

If a symptom does not occur where the table says so, or occurs in its control, the command ends with
an error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from siplab.experiments.output import commands
from siplab.experiments.trial.pairs import STRICT
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Check
from tools import trials
from tools.pages import DOCS, MadePart

PAGE: Final = DOCS / "symptoms.md"
# Who reports a symptom: the three articles that the project began with, and users elsewhere.
A, B, C, REPORTS = "A", "B", "C", "reports"


@dataclass(frozen=True)
class Symptom:
    """What a user notices, and which checks of a scenario show it.

    ``said_by``: who reports it, see above. ``spec``: the situation. There each of ``models`` causes the
    symptom, and none of ``controls`` does. ``quiet``: the control's situation, if it differs in more than the
    model.
    """

    text: str
    said_by: tuple[str, ...]
    checks: tuple[str, ...]
    spec: TrialSpec
    models: tuple[str, ...]
    controls: tuple[str, ...] = ("none", "correct")
    quiet: TrialSpec | None = None

    def producers(self) -> list[TrialSpec]:
        return [replace(self.spec, model=model) for model in self.models]

    def quiet_ones(self) -> list[TrialSpec]:
        if self.quiet is not None:
            return [self.quiet]
        return [replace(self.spec, model=model) for model in self.controls]


def _at(scenario: str, *, topology: str = "home", phone: str = "", server: str = "") -> TrialSpec:
    return TrialSpec(topology, "none", scenario, phone=phone, server=server)


# If server and phones handle NAT themselves, only some faults show. `strict-addresses` does not handle it.
SYMPTOMS: Final = (
    Symptom(
        "The phone is not registered",
        (A, B, C),
        ("registered",),
        _at("register"),
        ("semicolon-loss", "blind-ip-replace", "via-branch-altered"),
    ),
    Symptom(
        "The registration gets lost again and again (lost connection)",
        (A,),
        ("stays registered",),
        _at("re-register").between(STRICT),
        ("mapping-not-stable",),
    ),
    Symptom(
        "A device that handles NAT by itself fails (incompatibility): here STUN and a strict check of Via",
        (A, B),
        ("registered",),
        _at("register", phone="stun", server="rport-aware"),
        ("correct",),
        controls=("none",),
    ),
    Symptom(
        "No calls can be made",
        (A,),
        ("rings", "answered"),
        _at("outgoing-call"),
        ("content-length-stale", "port-overflow(mode=sum)"),
    ),
    Symptom(
        "It rings, but the call is never set up",
        (C,),
        ("answered",),
        _at("incoming-call"),
        ("content-length-stale",),
    ),
    Symptom(
        "The phone does not ring when called",
        (A, B, C),
        ("rings",),
        _at("incoming-call", server="strict-addresses"),
        ("contact-wrong-port", "wrong-inside-port(messages=requests)"),
        controls=("correct",),
    ),
    Symptom(
        "Calls go straight to voicemail, some time after the phone was last used",
        (A, B, C),
        ("rings",),
        _at("incoming-call(idle=70)", server="hosted"),
        ("nat-hidden-no-keepalive",),
    ),
    Symptom(
        "One-way audio",
        (A, C),
        ("caller hears",),
        _at("outgoing-call", server="strict-addresses"),
        ("sdp-c-only", "sdp-m-only"),
        controls=("correct",),
    ),
    Symptom(
        "No audio at all: silence when the call is answered",
        (C,),
        ("callee hears in the call between them", "caller hears in the call between them"),
        _at("two-phones").between(STRICT),
        ("sdp-c-only", "sdp-m-only"),
    ),
    Symptom(
        "Sound stops in the middle of a call and does not come back",
        (A,),
        ("caller hears after the silence",),
        _at("media-silence", server="strict-addresses"),
        ("media-idle-blocked",),
        controls=("correct",),
    ),
    Symptom(
        "Choppy sound. No ALG is documented to cause this; here a bad line does",
        (C,),
        ("callee hears every word", "caller hears every word"),
        _at("long-call(duration=60)", topology="home(loss=0.15)"),
        ("none",),
        quiet=_at("long-call(duration=60)"),
    ),
    Symptom(
        "Calls drop by themselves, after half a minute",
        (A, C),
        ("stays up",),
        _at("outgoing-call"),
        ("ack-2xx-lost", "record-route-mangled", "contact-inbound-clobbered"),
    ),
    Symptom(
        "Calls drop after a fixed time",
        (C,),
        ("stays up",),
        _at("long-call"),
        ("call-duration-cap(seconds=1800)", "unknown-method-dropped"),
    ),
    Symptom(
        "Hold fails",
        (REPORTS,),
        ("is held",),
        _at("hold"),
        ("contact-inbound-clobbered", "record-route-mangled"),
    ),
    Symptom(
        "The party on hold is still heard",
        (REPORTS,),
        ("is silent on hold",),
        _at("hold(how=zero-address)"),
        ("hold-zero-address-rewritten",),
    ),
    Symptom(
        "Transfer fails",
        (A,),
        ("is transferred", "reaches the third party"),
        _at("transfer(how=attended)"),
        ("refer-headers-ignored(mode=replaces)", "unknown-method-dropped"),
    ),
    Symptom(
        "A conference fails: not everybody hears everybody",
        (A,),
        ("first party hears both others", "second party hears both others"),
        _at("conference", server="strict-addresses"),
        ("sdp-c-only",),
        controls=("correct",),
    ),
    Symptom(
        "Video is frozen, or there is none",
        (C,),
        ("caller gets video",),
        _at("video", server="strict-addresses"),
        ("second-stream-ignored(handled=first)",),
        controls=("correct",),
    ),
    Symptom(
        "Announcements and ring-back are not heard",
        (REPORTS,),
        ("hears the announcement",),
        _at("early-media", server="strict-addresses"),
        ("sdp-c-only",),
        controls=("correct",),
    ),
    Symptom(
        "Fax fails",
        (REPORTS,),
        ("caller gets fax",),
        _at("fax", server="strict-addresses"),
        ("second-stream-ignored",),
        controls=("correct",),
    ),
    Symptom(
        "Lamps stay dark: messages waiting, colleagues busy",
        (REPORTS,),
        ("is subscribed",),
        _at("subscribe"),
        ("unknown-method-dropped",),
    ),
    Symptom(
        "The other side does not notice when one hangs up",
        (REPORTS,),
        ("hangs up",),
        _at("incoming-call"),
        ("udp-binding-short",),
    ),
    Symptom(
        "Nobody notices: the router leaves ports open (security gaps, pinholes)",
        (A, C),
        ("stays shut",),
        _at("stale-pinhole").between(STRICT),
        ("pinhole-left-open",),
    ),
    Symptom(
        "Nobody notices: a web page opens a port of the router",
        (REPORTS,),
        ("stays shut",),
        _at("stale-pinhole(after=web-page)").between(STRICT),
        ("pinhole-hijack",),
    ),
)


def look(spec: TrialSpec, names: tuple[str, ...]) -> list[Check]:
    """These checks of a trial. Raises ``SystemExit`` if the trial is invalid, or has no such check."""
    result = trials.result(spec)
    if result.errors:
        raise SystemExit(f"{spec.name}: {result.errors[0]}")
    found = {each.name: each for each in result.checks}
    missing = [name for name in names if name not in found]
    if missing:
        raise SystemExit(f"{spec.name}: no check '{missing[0]}'")
    return [found[name] for name in names]


def table() -> str:
    """The table in Markdown, with a command for each row. Raises ``SystemExit`` if a row is not true."""
    lines = [
        "| | symptom | said by | scenario | fails | produced by | does not occur with |",
        "|---" * 7 + "|",
    ]
    shown = []
    for number, each in enumerate(SYMPTOMS, 1):
        for spec in each.producers():
            for check in look(spec, each.checks):
                if check.passed:
                    raise SystemExit(f"{spec.name}: '{check.name}' does not fail")
        for spec in each.quiet_ones():
            for check in look(spec, each.checks):
                if not check.passed:
                    raise SystemExit(f"{spec.name}: '{check.name}' fails in a control")
        cells = [
            str(number),
            each.text,
            ", ".join(each.said_by),
            ", ".join(
                [f"`{each.spec.scenario}`", *(f"{kind} `{name}`" for kind, name in each.spec.kinds.items())]
            ),
            _code(each.checks),
            _code(each.models) + (f" on `{each.spec.topology}`" if each.spec.topology != "home" else ""),
            _code(spec.model for spec in each.quiet_ones())
            + (f" on `{each.quiet.topology}`" if each.quiet is not None else ""),
        ]
        lines.append(f"| {' | '.join(cells)} |")
        shown.append(f"{number}. `{commands.call(each.producers()[0])}`")
    return "\n".join([*lines, "", *shown, ""])


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


PART: Final = MadePart(PAGE, "symptoms", table)

if __name__ == "__main__":
    sys.exit(PART.main())
