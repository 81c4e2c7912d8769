"""What a person or a program gets to see of trials: tables, ladders, captures, files."""
