"""The laboratory in a browser: one HTML file with Python, the simulated world and the report page's views.

``parts.py`` fetches what is not the project's, ``packing.py`` packs the project, ``page.py`` makes the file.
Where that has scapy in it, it reads captures (``captures.js``) and says its licence (``licence.py``).
In the browser the page (``sandbox.js``) asks Python (``session.py``), which runs in a worker (``worker.js``).
"""
