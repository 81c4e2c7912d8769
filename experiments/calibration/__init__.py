"""Calibration: the model `linux` beside the running kernel, message by message."""
