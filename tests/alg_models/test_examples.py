"""Every documented example, executed to the byte."""

from __future__ import annotations

import pytest

from alg_models.catalogue import load
from alg_models.samples import SAMPLES, cross
from lab.gateway.alg import Example, Model

MODELS = load(plugins=False).runnable()
EXAMPLES = [
    pytest.param(model, example, id=f"{model.id}-{number}")
    for model in MODELS
    if not model.id.endswith(")")  # a variant shares the card of its model, whose examples may not fit
    for number, example in enumerate(model.card.examples)
]


@pytest.mark.parametrize(("model", "example"), EXAMPLES)
def test_the_message_leaves_as_documented(model: Model, example: Example) -> None:
    before, after = cross(model, example.sample)
    assert before.count(example.before) == 1, "an example must be unmistakable"
    where = before.index(example.before)
    line = before[:where].count(b"\r\n")
    assert example.after in after
    if example.before.count(b"\r\n") == example.after.count(b"\r\n") == 0 and after.count(
        b"\r\n"
    ) == before.count(b"\r\n"):
        assert example.after in after.split(b"\r\n")[line], "in its place, not somewhere else"


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_sound_and_tell_lengths_apart(name: str) -> None:
    _, message = SAMPLES[name]
    head, _, body = message.partition(b"\r\n\r\n")
    assert b"\nContent-Length: %d" % len(body) in head
    assert b"\n" not in message.replace(b"\r\n", b"")
    assert b"192.168.1.20" in message or b"203.0.113.7" in message
    assert len("192.168.1.20:5060") != len("203.0.113.7:61002") or len("192.168.1.20") != len("203.0.113.7")


def test_a_dropped_message_leaves_nothing() -> None:
    class Drop:
        def apply(self, message: object, context: object) -> None:
            context.drop("gone")  # type: ignore[attr-defined]

    card = MODELS[0].card
    assert cross(Model("drop", card, (Drop(),)), "invite") == (SAMPLES["invite"][1], b"")
    with pytest.raises(KeyError):
        cross(MODELS[0], "no such sample")
