"""The building blocks of ALGs: each step does one thing to one message."""
