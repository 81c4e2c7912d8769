"""Calibration: compares the model `linux` with the running kernel, message by message."""
