"""Whole ALGs, modelled on source code or vendors' documentation: one per file, found by the catalogue."""
