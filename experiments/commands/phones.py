"""``siplab phones``: the kinds of phones."""

from siplab.experiments.commands import listing
from siplab.experiments.trial import registry

app = listing.registered("phones", registry.phones)
