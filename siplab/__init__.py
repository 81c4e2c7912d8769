"""A laboratory for SIP Application Layer Gateways."""

__version__ = "0.2.0"
