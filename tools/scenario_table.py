"""``python -m tools.scenario_table``: where each scenario works, as the table of docs/scenarios.md.

Runs every scenario, with each of its variants, on a public address and behind each kind of NAT, there without
an ALG and with a correct one. The phone is the strict one. If one fails without a known reason, the command
ends with an error: the lab is wrong, or the table of reasons is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from siplab import topologies
from siplab.experiments.trial import registry
from siplab.experiments.trial.pairs import STRICT
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab import specs
from tools import trials
from tools.pages import DOCS, MadePart

PAGE: Final = DOCS / "scenarios.md"
SERVERS: Final = ("rport-aware", "strict-addresses")
# Silence for longer than the 60 s of a NAT's timer. Not a setting with few values, but it matters here.
LATE: Final = ("incoming-call(idle=70)", "subscribe(idle=70)")


@dataclass(frozen=True)
class Reason:
    """Why a scenario fails with this model. If given, only with these servers, in these scenarios, on these
    networks, and if the name of the first failed check ends like this.
    """

    text: str
    model: str
    servers: tuple[str, ...] = SERVERS
    scenarios: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    check: str = ""

    def explains(self, result: TrialResult) -> bool:
        spec, failure = result.spec, result.first_failure
        return (
            spec.model == self.model
            and spec.server in self.servers
            and spec.scenario in (self.scenarios or (spec.scenario,))
            and spec.topology in (self.networks or (spec.topology,))
            and failure is not None
            and failure.name.endswith(self.check)
        )


_MEDIA_BINDING: Final = (
    "The phone's own media have made a binding, which ends only after some idle time (RFC 4787 section 4.3). "
    "This NAT filters by address only, or not at all (section 5), so others can send in through the binding"
)
_OPEN_NATS: Final = (
    "nat-adm-adf",
    "nat-adm-eif",
    "nat-apdm-adf",
    "nat-apdm-eif",
    "nat-full-cone",
    "nat-restricted-cone",
)
# The first reason that fits counts.
REASONS: Final = (
    Reason(
        "This NAT has another public port for each server (RFC 4787 section 4.1): what the STUN server says "
        "is not where the SIP server can reach the phone.",
        "none",
        ("strict-addresses",),
        ("old-stun",),
        ("nat-symmetric", "nat-adm-adf", "nat-adm-apdf", "nat-adm-eif", "nat-apdm-adf", "nat-apdm-eif"),
    ),
    Reason(
        "The phone writes public addresses itself, and the ALG translates Via in answers back to the private "
        "one, which the phone never wrote (RFC 3261 section 18.1.2).",
        "correct",
        scenarios=("old-stun",),
    ),
    Reason(
        "The NAT's binding ended 60 s after the last packet from inside (RFC 4787 section 4.3), and neither "
        "side sent a keep-alive (RFC 5626 section 3.5).",
        "none",
        ("rport-aware",),
        (*LATE, "long-call(refresher=far-phone)"),
    ),
    Reason(
        "There is no router that could keep anybody out.",
        "none",
        scenarios=("stale-pinhole", "stale-pinhole(after=sign-off)", "stale-pinhole(after=web-page)"),
        networks=("no-nat",),
    ),
    Reason(
        f"{_MEDIA_BINDING}.",
        "none",
        ("rport-aware",),
        ("stale-pinhole",),
        _OPEN_NATS,
    ),
    Reason(
        f"{_MEDIA_BINDING}. The ALG has closed only its own pinholes.",
        "correct",
        scenarios=("stale-pinhole",),
        networks=_OPEN_NATS,
    ),
    Reason(
        "The router's owner has forwarded that port permanently.",
        "correct",
        scenarios=("stale-pinhole(after=sign-off)",),
        networks=("nat-static-port",),
    ),
    Reason(
        "Refer-To (RFC 3515 section 2.1) names the second phone by its private address, which the far phone "
        "can't call.",
        "none",
        ("rport-aware",),
        ("transfer(to=second-phone)",),
    ),
    Reason(
        "The server answers to the port in Via (RFC 3261 section 18.2.2), and the NAT has no binding at "
        "that port. `rport` (RFC 3581) would name the right port, but this server ignores it.",
        "none",
        ("strict-addresses",),
        check="registered",
    ),
    Reason(
        "The phone is registered, but its Contact (RFC 3261 section 8.1.1.8) and its SDP (RFC 3264 section "
        "5.1) name a private address: requests and media that go there arrive nowhere.",
        "none",
        ("strict-addresses",),
    ),
    Reason(
        "The router has lost the bindings of the media. This far side sends to the address in the SDP, and "
        "only a new offer (RFC 3264 section 8) would give the ALG and the far side a new one.",
        "correct",
        ("strict-addresses",),
        ("router-reboot(during=call)",),
    ),
    Reason(
        "This NAT lets in only what comes from the port that the phone has sent to (RFC 4787 section 5), and "
        "the provider calls from another one.",
        "none",
        ("rport-aware",),
        ("re-register(overload=true)",),
    ),
)


def nat_kinds() -> list[str]:
    """The topologies that are the home network with another kind of NAT."""
    return [each for each in topologies.available() if each.startswith("nat-")]


def played() -> Iterator[str]:
    """Every scenario, and its variants: with each other value of a setting that has few values."""
    for item in registry.scenarios():
        yield item.id
        hints = get_type_hints(type(item.settings))
        for each in fields(item.settings):
            default = getattr(item.settings, each.name)
            for value in _values(hints[each.name]):
                if value != default:
                    yield specs.written(item.id, {each.name: value})
        yield from (each for each in LATE if each.startswith(f"{item.id}("))


def _values(kind: Any) -> tuple[Any, ...]:
    if kind is bool:
        return (True, False)
    return get_args(kind) if get_origin(kind) is Literal else ()


def outcome(topology: str, model: str, scenario: str, server: str) -> Reason | None:
    """``None`` if it works, else why it fails. Raises ``SystemExit`` if no reason is known."""
    result = trials.result(TrialSpec(topology, model, scenario, phone=STRICT.phone, server=server))
    if result.outcome == "pass":
        return None
    found = next((each for each in REASONS if each.explains(result)), None)
    if result.errors or found is None:
        why = result.errors or result.first_failure
        raise SystemExit(f"{topology}, {result.spec.name}: {result.outcome} without a known reason: {why}")
    return found


def cell(places: list[str], model: str, scenario: str, server: str) -> str:
    """The outcome on all these networks; the cell names those that differ from most."""
    groups: dict[Reason | None, list[str]] = {}
    for place in places:
        groups.setdefault(outcome(place, model, scenario, server), []).append(place)
    rows = sorted(groups.items(), key=lambda row: -len(row[1]))
    parts = [_word(rows[0][0])]
    parts += [f"{_word(why)}: {', '.join(f'`{place}`' for place in some)}" for why, some in rows[1:]]
    return "; ".join(parts)


def _word(why: Reason | None) -> str:
    return "yes" if why is None else f"no ({REASONS.index(why) + 1})"


def row(scenario: str) -> str:
    """The table's row for a scenario."""
    cells = [cell(places, model, scenario, server) for places, model, server, _ in _columns()]
    return f"| `{scenario}` | {' | '.join(cells)} |"


def _columns() -> list[tuple[list[str], str, str, str]]:
    return [
        (places, model, server, f"{where}, {server}")
        for server in SERVERS
        for places, model, where in (
            (["no-nat"], "none", "public address"),
            (nat_kinds(), "none", "NAT, no ALG"),
            (nat_kinds(), "correct", "NAT, correct ALG"),
        )
    ]


def table() -> str:
    """The table in Markdown, with its notes below."""
    heads = [head for *_, head in _columns()]
    lines = [f"| scenario | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    lines += [row(scenario) for scenario in played()]
    notes = [f"{number}. {reason.text}" for number, reason in enumerate(REASONS, 1)]
    names = ", ".join(f"`{each}`" for each in nat_kinds())
    return "\n".join([f"NAT: {names}.", "", *lines, "", *notes, ""])


PART: Final = MadePart(PAGE, "scenario_table", table)

if __name__ == "__main__":
    sys.exit(PART.main())
