"""Commands of ``siplab``, one per file. Each has ``app``, with one command or several under a name.

``cli.py`` has their names and what they are for, so that a file is imported only when its command is used.
"""
