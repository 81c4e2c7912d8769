"""A laboratory for SIP Application Layer Gateways: what a router does to SIP, what breaks, and who notices.

    import siplab

    result, trace = siplab.run(siplab.Trial(model="semicolon-loss", scenario="register"))

The public names of the package are those of ``__all__``; each is imported when it is first used. Writers of
models, detectors, scenarios and tests find theirs in ``siplab.model``, ``siplab.detector``,
``siplab.scenario`` and ``siplab.pytest_plugin``. Everything below these may change with any version.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from siplab.api import (
        list_detectors,
        list_mitigations,
        list_models,
        list_phones,
        list_scenarios,
        list_servers,
        list_topologies,
        list_vendors,
        load_model,
        load_topology,
        matrix,
        run,
        score,
    )
    from siplab.experiments.figures.results import Matrix, TrialRun
    from siplab.experiments.score.tally import Score
    from siplab.experiments.trial.result import Explanation, TrialResult
    from siplab.experiments.trial.spec import TrialSpec as Trial
    from siplab.experiments.trial.stage import Check, Finding
    from siplab.lab.errors import CapabilityError, UsageError
    from siplab.lab.gateway.gateway import Gateway, Side
    from siplab.lab.gateway.nat_config import NatConfig
    from siplab.lab.version import __version__ as __version__
    from siplab.lab.worlds.base import WorldError
    from siplab.lab.worlds.topology import Topology
    from siplab.lab.worlds.trace import Trace

# The modules of the names that are not in ``siplab.api``.
_WHERE: Final = {
    "CapabilityError": "siplab.lab.errors",
    "Check": "siplab.experiments.trial.stage",
    "Explanation": "siplab.experiments.trial.result",
    "Finding": "siplab.experiments.trial.stage",
    "Gateway": "siplab.lab.gateway.gateway",
    "Score": "siplab.experiments.score.tally",
    "Matrix": "siplab.experiments.figures.results",
    "NatConfig": "siplab.lab.gateway.nat_config",
    "Side": "siplab.lab.gateway.gateway",
    "Topology": "siplab.lab.worlds.topology",
    "Trace": "siplab.lab.worlds.trace",
    "Trial": "siplab.experiments.trial.spec",
    "TrialRun": "siplab.experiments.figures.results",
    "TrialResult": "siplab.experiments.trial.result",
    "UsageError": "siplab.lab.errors",
    "WorldError": "siplab.lab.worlds.base",
    "__version__": "siplab.lab.version",
}

__all__ = [
    "CapabilityError",
    "Check",
    "Explanation",
    "Finding",
    "Gateway",
    "Matrix",
    "NatConfig",
    "Score",
    "Side",
    "Topology",
    "Trace",
    "Trial",
    "TrialResult",
    "TrialRun",
    "UsageError",
    "WorldError",
    "list_detectors",
    "list_mitigations",
    "list_models",
    "list_phones",
    "list_scenarios",
    "list_servers",
    "list_topologies",
    "list_vendors",
    "load_model",
    "load_topology",
    "matrix",
    "run",
    "score",
]

# The folders of a checkout are linked into this folder. Where links can't be made (Windows without developer
# mode), git writes small text files in their place. Then the folders are imported from where they really are.
# mode) git writes small text files in their place: the rooms are then found where they really are.
if not (Path(__file__).parent / "lab").is_dir():
    __path__.append(str(Path(__file__).parents[1]))


def __getattr__(name: str) -> Any:
    if name not in __all__ and name not in _WHERE:
        raise AttributeError(f"module 'siplab' has no attribute '{name}'")
    module = import_module(_WHERE.get(name, "siplab.api"))
    value = getattr(module, "TrialSpec" if name == "Trial" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
