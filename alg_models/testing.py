"""For tests of models: does a model do what its card says?

Every function raises ``AssertionError`` with the reason. One call is a whole test.
"""

from __future__ import annotations

from siplab.alg_models import samples
from siplab.lab.gateway.alg import Example, Model


def check_model(model: Model) -> None:
    """Check everything: the card, its examples, the variants, and every sample through each of them."""
    assert model.card.summary.endswith("."), f"{model.id}: the summary must be a sentence that ends in '.'"
    assert model.card.examples, f"{model.id}: the card has no example"
    for example in model.card.examples:
        check_example(model, example)
    check_robust(model)
    for values in model.variants:
        check_robust(model.with_parameters(values))


def check_example(model: Model, example: Example) -> None:
    """Check that an example's documented bytes are what happens, in the right place."""
    assert example.sample in samples.all_samples(), f"{model.id}: no sample is called '{example.sample}'"
    reason = samples.check(model, example)
    assert not reason, f"{model.id}: {example.before!r} of sample '{example.sample}': {reason}"


def check_robust(model: Model) -> None:
    """Check that no sample makes the model raise: an error in the model would make a trial invalid."""
    for name in samples.all_samples():
        for emission in samples.cross(model, name).emissions:
            assert not emission.error, f"{model.id} raised at sample '{name}': {emission.error}"
