"""The report page: one HTML file that opens anywhere, asks for nothing, and draws what ``output.view``
holds.
"""
