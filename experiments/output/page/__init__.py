"""The report page: one HTML file that opens anywhere, makes no requests, and draws the data of
``output.view``.
"""
