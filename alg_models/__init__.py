"""What sits in the router: controls, one file per fault, and the registry that finds them."""
