"""How people and programs see trials: tables, ladders, captures, files."""
