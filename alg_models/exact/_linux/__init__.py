"""The parts of the kernel's ALG, nf_conntrack_sip with nf_nat_sip, shared by the models built on it.

``scan`` finds headers, addresses and numbers as the kernel does. ``flow`` and ``expectations`` hold what
connection tracking knows. ``headers``, ``sdp`` and ``register`` hold what the ALG does to a message, and
``helper`` in which order. ``kernel`` has the differences between versions, ``tplink`` those of a vendor.

"Spec" in docstrings means these paragraphs of the specification; each names the kernel's functions:

- 1.0 the mapping of addresses (map_addr); 1.2 parsing (ct_sip_get_header and what it calls)
- 1.3 the order of work (process_sip_msg); 1.4 the header pass (nf_nat_sip)
- 1.5 the port that answers are forced to, and 1.6 messages with SDP (process_sip_request and _response)
- 1.7 SDP (process_sdp, set_expected_rtp_rtcp, nf_nat_sdp_media); 1.8 drops, where they happen
- 1.9 expectations (nf_ct_expect_related, process_register_request and _response, nf_nat_sip_expect)
- 1.10 TCP (sip_help_tcp)
"""
