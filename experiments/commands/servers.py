"""``siplab servers``: the kinds of servers."""

from siplab.experiments.commands import listing
from siplab.experiments.trial import registry

app = listing.registered("servers", registry.servers)
