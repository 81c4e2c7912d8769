"""``python -m tools.endpoint_table``: write which phones and servers work together into docs/endpoints.md.

Tries every kind of phone with every kind of server, without an ALG and with a correct one, and every kind
behind the four faults that the quickstart shows. ``--check`` writes nothing and exits with 1 if the page is
out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from siplab.experiments.trial import registry
from siplab.experiments.trial.spec import TrialSpec
from tools import trials
from tools.pages import DOCS, MadePart

PAGE: Final = DOCS / "endpoints.md"
FAULTS: Final = ("blind-ip-replace", "semicolon-loss", "port-overflow", "call-id-rewrite")
SCENARIOS: Final = ("register", "outgoing-call", "incoming-call")
LATE: Final = "incoming-call(idle=70)"
# The other endpoint beside the kind that a row is about: the kinds that stand for baresip and Kamailio.
PHONE: Final = "libre"
SERVER: Final = "proxy-detect"
_WORDS: Final = {
    "registered": "not registered",
    "known to the server": "not registered",
    "rings": "no ring",
    "answered": "no answer",
    "stays up": "drops",
    "hangs up": "stays open",
    "caller hears": "one-way",
    "callee hears": "one-way",
}


def outcome(phone: str, server: str, model: str, far_phone: str = "", *, late: bool = True) -> str:
    """The first symptom over all scenarios. ``late``: also try calls a minute after registration."""
    for scenario in (*SCENARIOS, LATE) if late else SCENARIOS:
        result = trials.result(
            TrialSpec("home", model, scenario, phone=phone, server=server, far_phone=far_phone)
        )
        if result.errors:
            raise SystemExit(f"{result.spec.name}: {result.errors[0]}")
        failure = result.first_failure
        if failure is not None:
            words = _WORDS.get(failure.name, failure.name)
            way = "" if words in ("not registered", "one-way") else _WAYS[scenario]
            return f"{way}{words}"
    return "works"


_WAYS: Final = {"register": "", "outgoing-call": "out: ", "incoming-call": "in: ", LATE: "late: "}


def pairs(model: str) -> str:
    """The table of every phone with every server, behind one model."""
    phones, servers = ([each.id for each in known()] for known in (registry.phones, registry.servers))
    cells = {(phone, server): outcome(phone, server, model) for phone in phones for server in servers}
    return _table("phone", servers, [(phone, [cells[phone, each] for each in servers]) for phone in phones])


def faults() -> str:
    """The table of every phone with Kamailio, and every server with baresip, behind the faults."""
    models = ("none", "correct", *FAULTS)
    rows = {
        kind: [(each.id, [behind(model, kind, each.id) for model in models]) for each in known()]
        for kind, known in (("phone", registry.phones), ("server", registry.servers))
    }
    return "\n".join([_table(kind, models, found) for kind, found in rows.items()])


def behind(model: str, kind: str, name: str) -> str:
    """The outcome with one kind of phone or server behind one model."""
    phone, server = (name, SERVER) if kind == "phone" else (PHONE, name)
    return outcome(phone, server, model, PHONE, late=False)


def _table(kind: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    columns = [f"`{each}`" for each in heads]
    lines = [f"| {kind} | {' | '.join(columns)} |", "|---" * (len(heads) + 1) + "|"]
    lines += [f"| `{name}` | {' | '.join(cells)} |" for name, cells in rows]
    return "\n".join([*lines, ""])


PARTS: Final = (
    MadePart(PAGE, "endpoint_table", lambda: pairs("none"), "table without an ALG"),
    MadePart(PAGE, "endpoint_table", lambda: pairs("correct"), "table with a correct ALG"),
    MadePart(PAGE, "endpoint_table", faults, "table of faults"),
)


if __name__ == "__main__":
    sys.exit(max(part.main() for part in PARTS))
