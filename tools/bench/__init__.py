"""``make bench``: what the lab costs. ``python -m tools.bench --only NAME`` measures one part of it.

Each file here is one part: ``measure()`` returns what it costs, as JSON, and ``rows(found)`` how to print
that. Times are CPU time wherever possible, since wall-clock time depends on how busy the machine is. Two
things that are compared are measured in alternating rounds of the same run.
"""
