"""Why a check failed: the message at which things went wrong, what the router did to it, which rule that
broke.

It all comes from the trial's trace: what crossed the gateways, and what the endpoints noted. A model's
documentation is never asked, so a model that nobody has documented is explained as well as any.
"""

from __future__ import annotations

from siplab.experiments.explain.explanation import explain
from siplab.experiments.trial.result import Explanation, TrialResult
from siplab.experiments.trial.run import network_of
from siplab.experiments.trial.spec import seed_of
from siplab.lab.worlds.trace import Trace

__all__ = ["Explanation", "explain", "explained"]


def explained(result: TrialResult, trace: Trace) -> TrialResult:
    """The result with the reasons of its failed checks in it."""
    spec = result.spec
    result.explanation = explain(result.checks, trace, network_of(spec), seed_of(spec))
    return result
