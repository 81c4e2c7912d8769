"""``siplab detectors``: what looks for ALGs."""

from siplab.experiments.commands import listing
from siplab.experiments.trial import registry

app = listing.registered("detectors", registry.detectors)
