"""Who has to act for a remedy, and so what it costs: each mitigation's ``actors`` name all that must."""

from __future__ import annotations

from enum import StrEnum


class Actor(StrEnum):
    """Somebody who can change something."""

    PHONE = "phone"  # a setting of the phone
    PROVIDER = "provider"  # of the telephone service
    ROUTER = "router"  # a setting of the router
    LINE = "line"  # the provider of the internet line
    HARDWARE = "hardware"  # something is to be bought
