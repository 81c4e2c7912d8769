"""The pytest plugin: the fixture ``alg_lab``, the mark ``alg_models``, and the report of a failed test.

pytest loads this module in every environment in which siplab is installed, also for tests that have nothing
to do with it. So it imports only pytest. The lab is imported with the first test that uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from siplab.experiments.pytest_plugin.labs import Labs
    from siplab.experiments.pytest_plugin.pool import Pool

_MARK: Final = "alg_models"
_ARGUMENT: Final = "alg_model"
# The function with which a test that uses the lab adds to its failure report.
_DESCRIBE: Final = pytest.StashKey[Callable[[pytest.TestReport], None]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("siplab", "SIP ALGs (siplab)")
    group.addoption(
        "--siplab-world",
        choices=("auto", "simulated", "emulated"),
        default="auto",
        help="Where trials run: the real kernel (emulated), in memory, or what this machine can (auto).",
    )
    group.addoption(
        "--siplab-out",
        metavar="FOLDER",
        help="Write captures and traces of failed tests here, in the place of their tmp_path.",
    )
    group.addoption(
        "--siplab-model-path",
        metavar="PATH",
        action="append",
        default=[],
        help="A .py file or folder with models of your own; repeatable.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{_MARK}(*names): run the test once per router's ALG, as its argument {_ARGUMENT}: "
        "ids and specs, or all, faults, controls, reference-implementations, variants",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    definition = metafunc.definition
    marks = list(definition.iter_markers_with_node(_MARK))
    if not marks:
        return
    nearest = marks[0][0]
    if _ARGUMENT not in metafunc.fixturenames:
        if nearest is definition:
            pytest.fail(f"{definition.nodeid} is marked {_MARK}, but takes no {_ARGUMENT}", pytrace=False)
        return  # a mark of a class or module is for those of its tests that take the argument
    names = [name for node, mark in reversed(marks) if node is nearest for name in mark.args]

    from siplab.experiments.trial import run as trial
    from siplab.lab.errors import UsageError

    chosen, complaint = [], "it names no model: 'all', 'faults', ids"
    try:
        chosen = trial.models(tuple(metafunc.config.getoption("--siplab-model-path"))).select(names)
    except UsageError as error:
        complaint = str(error)
    if not chosen:
        pytest.fail(f"{definition.nodeid}: the mark {_MARK}: {complaint}", pytrace=False)
    metafunc.parametrize(_ARGUMENT, [each.id for each in chosen])


@pytest.fixture
def alg_model() -> str:
    """The spec of the router's ALG, from the mark ``alg_models``."""
    pytest.fail(f"{_ARGUMENT} comes from the mark: @pytest.mark.{_MARK}('none', 'faults')", pytrace=False)


@pytest.fixture(scope="session")
def _siplab_pool() -> Iterator[Pool]:
    from siplab.experiments.pytest_plugin.pool import Pool

    pool = Pool()
    yield pool
    pool.close()


@pytest.fixture
def alg_lab(request: pytest.FixtureRequest) -> Iterator[Labs]:
    """Makes labs, ``alg_lab(model="correct")``, and runs trials, ``alg_lab.trial(model=..., scenario=...)``.

    Each lab has a NAT of its own that has seen nothing yet. All end with the test.
    """
    from siplab.experiments.pytest_plugin import report
    from siplab.experiments.pytest_plugin.labs import Labs

    options = request.config.getoption
    labs = Labs(
        lambda: request.getfixturevalue("_siplab_pool"),
        world=options("--siplab-world"),
        model_paths=tuple(options("--siplab-model-path")),
    )
    folder = report.folder_of(request, options("--siplab-out"))
    request.node.stash[_DESCRIBE] = lambda failure: report.describe(failure, labs, folder)
    yield labs
    problems = labs.close()
    if problems:
        pytest.fail(f"siplab: {'; '.join(problems)}", pytrace=False)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    outcome = yield
    report: pytest.TestReport = outcome.get_result()
    describe = item.stash.get(_DESCRIBE, None)
    if describe is not None and report.failed:
        describe(report)
    if describe is not None and report.when == "teardown":
        del item.stash[_DESCRIBE]  # traces are large, and sessions long
