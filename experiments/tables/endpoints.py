"""The kinds of endpoints of a trial, including those that it does not name."""

from __future__ import annotations

from siplab.experiments.trial import registry
from siplab.experiments.trial.pairs import DEFAULT
from siplab.experiments.trial.spec import TrialSpec, is_program


def endpoints_of(spec: TrialSpec) -> dict[str, str]:
    """The kinds of ``phone``, ``server`` and ``far_phone``. Raises ``UsageError`` for an unknown kind."""
    server = spec.server or DEFAULT.server
    far = spec.far_phone
    if not far:
        far = DEFAULT.far_phone if is_program(server) else registry.servers().get(server).settings.far_kind
    return {"phone": spec.phone or DEFAULT.phone, "server": server, "far_phone": far}
