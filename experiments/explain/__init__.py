"""Why a check failed: at which message things went wrong, what the router did to it, and which rule that
broke.

The proof comes from running the trial again with actions of the routers undone. The mechanism comes from the
trial's trace: what crossed the gateways, and what the endpoints noted. A model's documentation is never used,
so an undocumented model is explained as well as any other.
"""

from __future__ import annotations

from siplab.experiments.explain.explanation import explain
from siplab.experiments.explain.proof import prove
from siplab.experiments.trial.result import Explanation, TrialResult
from siplab.experiments.trial.run import network_of
from siplab.experiments.trial.spec import seed_of
from siplab.lab.worlds.trace import Trace

__all__ = ["Explanation", "explain", "explained"]


def explained(result: TrialResult, trace: Trace, *, proven: bool = True) -> TrialResult:
    """The result, with the reasons of its failed checks added.

    ``proven``: the trial is run again for that, in the simulated world, up to a few dozen times, unless it is
    invalid. Otherwise the reasons come from the trace alone.
    """
    spec = result.spec
    proofs = prove(spec, result.checks) if proven and not result.errors else None
    result.explanation = explain(result.checks, trace, network_of(spec), seed_of(spec), proofs)
    return result
