"""Tells what would have happened with another router, by replaying packets or by running the trial again.

``packets``: the packets of a trace through gateways with other models. ``actions``: what a gateway did to
messages. ``undoing``: a model with some of its actions undone. ``replay``: a trial with such models.
``search``: the smallest set of actions whose undoing makes a failed check pass.
"""
