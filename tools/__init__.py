"""Set-up and measurement for developers; not part of the installed package."""
