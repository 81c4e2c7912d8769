"""Real programs in the places of the lab's phones and server."""
