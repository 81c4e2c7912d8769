"""``make bench``: what the lab costs. ``python -m tools.bench --only NAME`` measures one part of it.

Each file here is one part: ``measure()`` says what it costs, as JSON, ``rows(found)`` how that is printed.
Times are CPU time wherever that is possible: by the clock one would measure how busy the machine is. What is
compared with something is measured beside it, in alternating rounds of the same run.
"""
