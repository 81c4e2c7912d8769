"""Every documented example, executed to the byte."""

from __future__ import annotations

from dataclasses import replace

import pytest

from siplab.alg_models.catalogue import load
from siplab.alg_models.samples import all_samples, check, cross
from siplab.alg_models.testing import check_example, check_model
from siplab.lab.gateway.alg import Example, Model, Recipe

MODELS = load(plugins=False)
EXAMPLES = [
    pytest.param(model, example, id=f"{model.id}-{number}")
    for model in MODELS
    for number, example in enumerate(model.card.examples)
]


@pytest.mark.parametrize(("model", "example"), EXAMPLES)
def test_it_happens_as_documented(model: Model, example: Example) -> None:
    check_example(model, example)


@pytest.mark.parametrize("name", all_samples())
def test_samples_arrive_unharmed_without_an_alg(name: str) -> None:
    """Plain NAT lets every sample pass as it is, so whatever an example shows is done by the model."""
    outcome = cross(MODELS.get("none"), name)
    assert outcome.before
    assert outcome.after in (outcome.before, b""), "only a missing binding or a fragment may stop it"
    assert not outcome.answer


def test_a_wrong_example_is_found_out() -> None:
    correct = MODELS.get("correct")
    assert "must stand exactly once" in check(correct, Example("register", b"192.168.1.20", b"203.0.113.7"))
    contact = b"Contact: <sip:alice@192.168.1.20:5060>"
    assert "what left was" in check(correct, Example("register", contact, contact))
    assert "another line" in check(
        correct, Example("register", contact, b"Via: SIP/2.0/UDP 203.0.113.7:61002")
    )
    assert "left the router" in check(correct, Example("register", contact, None))
    assert "the router answered" in check(correct, Example("register", contact, b"Contact", b"SIP/2.0 200"))


def test_a_model_that_is_not_what_its_card_says_is_found_out() -> None:
    class Crash:
        def apply(self, message: object, context: object) -> None:
            raise ValueError("out of luck")

    card = MODELS.get("none").card
    check_model(MODELS.get("none"))
    with pytest.raises(AssertionError, match=r"crash raised at sample '.*': .*out of luck"):
        check_model(Model("crash", card, Recipe(last=(Crash(),))))
    with pytest.raises(AssertionError, match="no example"):
        check_model(Model("bare", replace(card, examples=())))
    with pytest.raises(AssertionError, match="a sentence"):
        check_model(Model("mute", replace(card, summary="No ALG")))
    with pytest.raises(AssertionError, match="no sample is called 'rumour'"):
        check_example(MODELS.get("none"), Example("rumour", b"x", b"y"))
    with pytest.raises(AssertionError, match="what left was"):
        check_example(MODELS.get("none"), Example("register", b"Max-Forwards: 70", b"Max-Forwards: 69"))


def test_a_dropped_message_leaves_nothing() -> None:
    class Drop:
        def apply(self, message: object, context: object) -> None:
            context.drop("gone")  # type: ignore[attr-defined]

    dropping = Model("drop", MODELS.get("none").card, Recipe(last=(Drop(),)))
    assert cross(dropping, "invite").after == b""
    assert check(dropping, Example("invite", b"INVITE sip:bob@lab.test", None)) == ""
    with pytest.raises(KeyError):
        cross(dropping, "no such sample")
