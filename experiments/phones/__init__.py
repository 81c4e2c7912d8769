"""Kinds of phones, one per file."""
