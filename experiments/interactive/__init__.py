"""A lab that stays up, and how other commands reach it."""
