"""``siplab experiments``: the experiments that come along."""

from siplab.experiments.commands import listing
from siplab.experiments.output import cards

app = listing.simple("experiments", cards.experiments, cards.experiment)
