"""The probe pack: one open-loop script that shows what a router does to SIP, and which models do the same."""
