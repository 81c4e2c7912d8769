"""Stores results in a folder, as Parquet. Each part is written completely or not at all."""
