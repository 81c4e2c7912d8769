"""``python -m tools.endpoint_table``: write which phones and servers get along into docs/endpoints.md.

``--check`` writes nothing and exits with 1 if the page is out of date.
"""

from __future__ import annotations

import sys
from typing import Final

from siplab.experiments.trial import registry
from siplab.experiments.trial.spec import TrialSpec
from tools import trials
from tools.pages import DOCS, MadePart

PAGE: Final = DOCS / "endpoints.md"
MODELS: Final = ("none", "correct")
SCENARIOS: Final = ("register", "outgoing-call", "incoming-call", "incoming-call(idle=70)")
# The first check that fails, in words.
_WORDS: Final = {
    "registered": "not registered",
    "known to the server": "not registered",
    "rings": "late calls do not ring",
    "caller hears": "one-way audio",
    "callee hears": "one-way audio",
}


def table() -> str:
    """The table in Markdown. Raises ``SystemExit`` for an invalid trial."""
    servers = [each.id for each in registry.servers()]
    heads = [f"{server}, {model}" for model in MODELS for server in servers]
    lines = [f"| phone | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for phone in registry.phones():
        cells = [outcome(phone.id, server, model) for model in MODELS for server in servers]
        lines.append(f"| `{phone.id}` | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def outcome(phone: str, server: str, model: str) -> str:
    """What a user notices first, of all scenarios."""
    for scenario in SCENARIOS:
        result = trials.result(TrialSpec("home", model, scenario, phone=phone, server=server))
        if result.errors:
            raise SystemExit(f"{result.spec.name}: {result.errors[0]}")
        failure = result.first_failure
        if failure is not None:
            return _WORDS.get(failure.name, failure.name)
    return "works"


PART: Final = MadePart(PAGE, "endpoint_table", lambda: table())
updated = PART.updated


if __name__ == "__main__":
    sys.exit(PART.main())
