"""From what a router was seen to do to a model that does it too."""
