"""What captures say of a router, in words."""
