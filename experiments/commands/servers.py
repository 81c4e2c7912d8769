"""``siplab servers``: the kinds of servers."""

from siplab.experiments.commands import listing
from siplab.experiments.output import kind_cards

app = listing.simple(
    "servers",
    lambda: kind_cards.rows("server"),
    lambda name: kind_cards.show("server", name),
    kind_cards.print_card,
)
