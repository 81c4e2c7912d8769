"""On a machine that must have everything, a skipped test fails."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

_CONFTEST = "from tests.conftest import pytest_runtest_makereport"
_SKIPPED = """
import pytest

@pytest.mark.skipif(True, reason="by a mark")
def test_mark():
    pass

def test_call():
    pytest.skip("by itself")

@pytest.fixture
def there():
    pytest.skip("by a fixture")

def test_fixture(there):
    pass

@pytest.mark.xfail(reason="known", strict=True)
def test_known():
    assert False
"""


@pytest.fixture
def skipped(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(_CONFTEST)
    pytester.makepyfile(_SKIPPED)
    return pytester


def test_a_skipped_test_fails_where_everything_has_to_be_there(
    skipped: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    done = skipped.runpytest_inprocess("-p", "no:siplab")
    done.assert_outcomes(failed=1, errors=2, xfailed=1)
    done.stdout.fnmatch_lines(["*nothing may be skipped*by itself*"])


def test_elsewhere_it_is_skipped(skipped: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    skipped.runpytest_inprocess("-p", "no:siplab").assert_outcomes(skipped=3, xfailed=1)
