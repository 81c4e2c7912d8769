"""Detectors on a real network: a server for a public machine, and the client behind the router."""
