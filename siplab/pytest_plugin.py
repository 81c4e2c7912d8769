"""The pytest plug-in, as pytest loads it: the fixture ``alg_lab`` and the mark ``alg_models``.

It is loaded in every environment in which siplab is installed, so it imports pytest alone; the lab comes with
the first test that asks for it. See docs/pytest.md.
"""

from siplab.experiments.pytest_plugin import (
    _siplab_pool,
    alg_lab,
    alg_model,
    pytest_addoption,
    pytest_configure,
    pytest_generate_tests,
    pytest_runtest_makereport,
)

__all__ = [
    "_siplab_pool",
    "alg_lab",
    "alg_model",
    "pytest_addoption",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_runtest_makereport",
]
