"""Detectors that are wrong on purpose: what a scoreboard that is worth something must score badly.

They are no part of the lab's own list: ``siplab score --detector-path experiments/detectors/wrong``.
"""
