"""``siplab scenarios``: what can happen."""

from siplab.experiments.commands import listing
from siplab.experiments.trial import registry

app = listing.registered("scenarios", registry.scenarios)
