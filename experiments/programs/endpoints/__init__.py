"""Real programs in place of the lab's phones and server."""
