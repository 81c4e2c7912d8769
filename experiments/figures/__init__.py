"""Figures of results for papers: each in altair (interactive) and in matplotlib (print).

One file per figure: ``points`` computes its numbers as plain rows; ``altair`` and ``matplotlib`` draw them.
The libraries are imported only when a figure is drawn.
"""
