"""What would have happened with another router: the same packets through it, or the whole trial once more.

``packets``: the packets of a trace through gateways with other models. ``actions``: what a gateway did to
messages. ``undoing``: a model some of whose actions are undone. ``replay``: a trial with such models.
``search``: the smallest set of actions whose undoing makes a failed check pass.
"""
