"""The figures that papers need, of results: each in altair (interactive) and in matplotlib (print).

One file per figure: ``points`` are its numbers as plain rows; ``altair`` and ``matplotlib`` draw them. The
libraries are imported when something is drawn.
"""
