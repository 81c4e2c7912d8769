"""Runs many trials into a store: in batches, on one processor, on several, or on a cluster."""
