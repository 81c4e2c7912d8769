"""What to do about a router: which remedies bring back what works without its faults, and who has to act."""
