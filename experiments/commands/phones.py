"""``siplab phones``: the kinds of phones."""

from siplab.experiments.commands import listing
from siplab.experiments.output import kind_cards

app = listing.simple(
    "phones",
    lambda: kind_cards.rows("phone"),
    lambda name: kind_cards.show("phone", name),
    kind_cards.print_card,
)
