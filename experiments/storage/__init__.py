"""Results in a folder, as Parquet: written in parts, each whole or not there, and read back as tables."""
