"""Learns from packets at both sides of a router: finds a model that does the same."""
