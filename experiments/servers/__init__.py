"""Kinds of servers, one per file."""
