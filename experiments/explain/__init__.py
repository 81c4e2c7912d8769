"""Why a check failed: the message at which things went wrong, what the router did to it, which rule that
broke.

It all comes from the trial's trace: what crossed the gateways, and what the endpoints noted. A model's
documentation is never asked, so a model that nobody has documented is explained as well as any.
"""

from __future__ import annotations

from siplab.experiments.explain.explanation import Explanation, explain

__all__ = ["Explanation", "explain"]
