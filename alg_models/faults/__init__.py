"""One documented fault per file. A module's ``MODEL`` (or ``MODELS``) is found by the catalogue."""
