"""``siplab copy``."""

from siplab.experiments.commands import reaching
from siplab.experiments.commands.options import only

app = only(reaching.copy)
