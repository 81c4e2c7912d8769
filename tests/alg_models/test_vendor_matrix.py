"""What every card's router breaks, compared with a golden file; the pages; CVEs that can be simulated."""

from __future__ import annotations

import pytest

from siplab.alg_models import catalogue, vendors
from siplab.alg_models.profiles import Profile
from siplab.experiments.output import kernel_timeline
from siplab.experiments.trial.run import run
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab import specs
from siplab.lab.errors import UsageError
from tests import grid
from tests.command import siplab
from tools import vendor_matrix, vendor_pages

GOLDEN = vendor_matrix.golden()
MODELS = catalogue.load(plugins=False)
PAIRS = {str(pair): pair for pair in vendor_matrix.PAIRS}
CELLS = [f"{model} between {pair}" for model in GOLDEN for pair in PAIRS]


def test_there_is_a_row_for_each_model_and_a_digest_for_each_card() -> None:
    """If it fails: ``python -m tools.vendor_matrix --new --write``."""
    assert list(GOLDEN) == vendor_matrix.models()
    assert vendor_matrix.GOLDEN.read_text(encoding="utf-8") == vendor_matrix.text_of(GOLDEN)
    assert set(vendor_matrix.digests(GOLDEN)) == set(vendors.available())


KNOWN = [
    (card, name, profile)
    for card, variants in vendor_matrix.known().items()
    for name, profile in variants.items()
]


@pytest.mark.parametrize(
    ("card", "name", "profile"), KNOWN, ids=[f"{card}-{name}" for card, name, _ in KNOWN]
)
def test_what_a_card_says_shows_or_it_says_why_not(card: str, name: str, profile: Profile) -> None:
    """With the golden file's endpoints, or where a model's card says. Without an ALG nothing can show."""
    model = vendor_matrix.behind(profile)
    vendor = vendors.load(card)
    chosen = vendor.variant(name) or vendor
    shown = any(vendor_matrix.broken(model, GOLDEN).values())
    for part in specs.split(model, "model"):
        identifier, values = specs.parse(part, "model")
        shown |= any(dict(each.variant) == values for each in MODELS.get(identifier).card.shows)
    assert (model == vendor_matrix.NO_ALG) + shown + (chosen.not_shown is not None) == 1


@pytest.mark.parametrize("cell", grid.part(CELLS, 40))
def test_a_model_comes_to_what_it_did(cell: str) -> None:
    """A difference is a mistake or intended. If it is intended: ``python -m tools.vendor_matrix --write``."""
    model, _, pair = cell.partition(" between ")
    failed = vendor_matrix.failing([run(spec)[0] for spec in vendor_matrix.specs(model, PAIRS[pair])])
    assert vendor_matrix.cells(GOLDEN[model])[pair] == failed


def test_the_pages_are_up_to_date() -> None:
    """If it fails: ``python -m tools.vendor_pages``."""
    on_file = {each.name: each.read_text(encoding="utf-8") for each in vendor_pages.FOLDER.glob("*.md")}
    assert vendor_pages.pages() == on_file


# -- CVEs that harmless bytes can show; the control is the repaired router --------------------------------


@pytest.mark.parametrize(
    ("router", "scenario", "fails"),
    [
        # The table fills, and then nobody gets through.
        ("juniper(variant=cve-2022-22204)", "two-phones", "call between them answered"),
        # The router restarts at a message over TCP, or at a long one.
        ("juniper(variant=cve-2026-21905)", "tcp-call", "registered"),
        ("juniper(variant=cve-2017-2346)", "large-invite", "rings"),
        ("cisco-ios(variant=cve-2018-0476)", "large-invite", "rings"),
        ("cisco-ios(variant=cve-2011-3276)", "tcp-call", "registered"),
        # A pinhole opens.
        ("netgear(variant=r7000)", "stale-pinhole(after=web-page)", "stays shut"),
    ],
)
def test_a_cve_is_reproduced(router: str, scenario: str, fails: str) -> None:
    repaired = run(TrialSpec("home", "correct", scenario))[0]
    assert repaired.outcome == "pass"
    broken = run(TrialSpec("home", router, scenario))[0]
    assert broken.outcome == "fail"
    assert fails in [check.name for check in broken.checks if not check.passed]


# -- the timeline ----------------------------------------------------------------------------------------


def test_the_timeline_says_which_kernel_has_which_fault() -> None:
    data = kernel_timeline.timeline("linux")
    faults = {row["fault"]: row["kernels"] for row in data["faults"]}
    assert faults["TCP is not looked at"] == ["2.6.26"]
    assert faults["a TCP message longer than its segment is dropped"] == ["2.6.38", "3.5", "3.7"]
    assert all(0 < len(kernels) < len(data["bands"]) for kernels in faults.values())
    assert "ubiquiti" in data["vendors"]["4.9"]
    assert "d-link(variant=alpha)" in data["vendors"]["2.6.26"]
    printed = siplab("vendors", "timeline", "linux").stdout
    assert "linux-gen1" in printed
    with pytest.raises(UsageError, match="of 'broadcom' no versions are known"):
        kernel_timeline.timeline("broadcom")
