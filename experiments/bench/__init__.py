"""Measures a real router on the bench, between two network cards of this machine."""
