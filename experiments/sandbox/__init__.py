"""The laboratory in a browser: one HTML file with Python, the simulated world and the report page's views.

``parts.py`` fetches what is not part of the project, ``packing.py`` packs the project, ``page.py`` makes the
file. If the file includes scapy, it can read captures (``captures.js``) and states its licence
(``licence.py``). In the browser the page (``sandbox.js``) asks Python (``session.py``), which runs in a
worker (``worker.js``).
"""
