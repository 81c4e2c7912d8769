"""The errors that a user can fix: one clear line, no traceback, exit status 2."""

from __future__ import annotations


class UsageError(ValueError):
    """Bad input. The text is one line that names what is wrong and the fix."""


class OutputError(UsageError):
    """A file can't be written: a full disk, a folder that is not there; the text names it and the reason."""


class CapabilityError(UsageError):
    """This machine can't do what was asked (no namespaces, a missing tool); the text says the fix."""
