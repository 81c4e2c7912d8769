"""The pytest plug-in, as pytest loads it: the fixture ``alg_lab`` and the mark ``alg_models``.

Pytest loads it in every environment in which siplab is installed, so it imports only pytest. The first test
that asks for a lab imports the rest. See docs/pytest.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from siplab.experiments.pytest_plugin import (
    _siplab_pool,
    alg_lab,
    alg_model,
    pytest_addoption,
    pytest_configure,
    pytest_generate_tests,
    pytest_runtest_makereport,
)

if TYPE_CHECKING:
    from siplab.experiments.programs.running import ProgramError
    from siplab.experiments.pytest_plugin.inside import Completed
    from siplab.experiments.pytest_plugin.labs import Lab, Labs, Program

__all__ = [
    "Completed",
    "Lab",
    "Labs",
    "Program",
    "ProgramError",
    "_siplab_pool",
    "alg_lab",
    "alg_model",
    "pytest_addoption",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_runtest_makereport",
]

# Types for annotations in tests.
_LATER: Final = {
    "Labs": "siplab.experiments.pytest_plugin.labs",
    "Completed": "siplab.experiments.pytest_plugin.inside",
    "Lab": "siplab.experiments.pytest_plugin.labs",
    "Program": "siplab.experiments.pytest_plugin.labs",
    "ProgramError": "siplab.experiments.programs.running",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'siplab.pytest_plugin' has no attribute '{name}'")
    return getattr(import_module(_LATER[name]), name)
