"""``python -m tools.named_failures``: which failures the default endpoints do not have, for docs/explain.md.

The trials are those with which the search for causes was first tested. They name their endpoints: mostly
those of 0.1.0, ``plain`` and ``rport-aware``. Each trial runs with these and with the default pair.
``--check`` writes nothing and exits with 1 if the page is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import DEFAULT, STRICT, Pair
from siplab.experiments.trial.spec import TrialSpec
from tools.pages import DOCS, MadePart

PAGE: Final = DOCS / "explain.md"
_FOLDER: Final = Path(__file__).parents[1] / "tests" / "data" / "models"


def _plain(model: str, scenario: str, topology: str = "home") -> TrialSpec:
    return TrialSpec(topology, model, scenario).between(STRICT)


def _strict_addresses(model: str, scenario: str) -> TrialSpec:
    return TrialSpec("home", model, scenario, phone="plain", server="strict-addresses")


def _own(model: str, scenario: str) -> TrialSpec:
    return TrialSpec("home", model, scenario, model_paths=(str(_FOLDER),)).between(STRICT)


NAMED: Final[tuple[TrialSpec, ...]] = (
    _plain("two-phones-collision", "fork", "two-phones"),
    _strict_addresses("sdp-c-only", "outgoing-call"),
    _strict_addresses("sdp-m-only", "outgoing-call"),
    _strict_addresses("second-stream-ignored(handled=first)", "video"),
    _plain("blind-ip-replace", "media-silence"),
    _strict_addresses("fragment-unprocessed", "large-invite"),
    _own("record-route-removed", "incoming-call"),
    _own("no-call-of-a-stranger", "incoming-call"),
    _plain("call-id-rewrite+semicolon-loss", "register"),
    _plain("record-route-mangled+ack-2xx-lost", "outgoing-call"),
    _plain("record-route-mangled+contact-inbound-clobbered+ack-2xx-lost", "outgoing-call"),
)
# Models whose trials are those that their cards show.
SHOWN: Final = (
    "record-route-ignored",
    "one-direction-only",
    "case-sensitive-name",
    "exact-spacing",
    "nat-hidden-no-keepalive",
    "media-idle-blocked",
    "keepalive-crlf-swallowed",
    "contact-portless-ignored",
    "header-folding-ignored",
    "late-offer-unhandled",
    "tcp-ignored",
    "tcp-split-unprocessed",
    "refer-headers-ignored",
    "sdp-origin-mismatch",
    "pinhole-hijack",
    "media-sport-not-mapped",
)


class Row(NamedTuple):
    """The first check that fails, or empty: with the trial's own endpoints, the default pair, and the latter
    without an ALG.
    """

    spec: TrialSpec
    named: str
    default: str
    without: str


def specs() -> list[TrialSpec]:
    """All trials, with their own endpoints."""
    found = list(NAMED)
    for name in SHOWN:
        model = trial.models().get(name)
        for each in model.card.shows:
            ends = Pair(each.phone or STRICT.phone, each.server or STRICT.server)
            spec = TrialSpec(each.topology, model.with_parameters(each.variant).id, each.scenario)
            found.append(spec.between(ends))
    return found


def rows() -> list[Row]:
    """Each trial, run with both pairs of endpoints."""
    return [
        Row(each, *map(_fails, (each, default := each.between(DEFAULT), replace(default, model="none"))))
        for each in specs()
    ]


def _fails(spec: TrialSpec) -> str:
    result, _ = trial.run(spec)
    if result.errors:
        raise SystemExit(f"{spec}: {result.errors[0]}")
    return result.first_failure.name if result.first_failure is not None else ""


def table(found: Sequence[Row]) -> str:
    """The table of trials, and the list of those that pass with the default pair."""
    lines = [
        f"| fault | network, scenario | endpoints | fails | with {DEFAULT} |",
        "|---|---|---|---|---|",
    ]
    for spec, named, default, without in found:
        also = f"{default}; without an ALG too" if default and default == without else default
        ends = f"{spec.phone} + {spec.server}"
        cells = (f"`{spec.model}`", f"{spec.topology}, `{spec.scenario}`", ends, named, also or "**passes**")
        lines.append(f"| {' | '.join(cells)} |")
    passing = [f"`{each.spec.model}`" for each in found if not each.default]
    end = f"{len(passing)} of {len(found)} no longer fail with the default pair: {', '.join(passing)}."
    return "\n".join([*lines, "", end]) + "\n"


PART: Final = MadePart(PAGE, "named_failures", lambda: table(rows()), "named failures")


if __name__ == "__main__":
    sys.exit(PART.main())
