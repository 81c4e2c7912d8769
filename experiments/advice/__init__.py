"""What to do about a router: which mitigations restore what works without its faults, and who must act."""
