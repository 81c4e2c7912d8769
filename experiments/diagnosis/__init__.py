"""Diagnoses of routers from captures, in words."""
