"""``siplab mitigations``: the remedies."""

from siplab.experiments.commands import listing
from siplab.experiments.trial import registry

app = listing.registered("mitigations", registry.mitigations)
