"""What real calls have beyond the minimum: header fields, session descriptions, headers of a status.

The names are those registered for SIP and SDP, if they are in use, and some common unregistered ones. No
value is a real address. A reflector sends back what a probe had, as it arrived (orders with ``+all``). So one
probe shows both directions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_DIGEST: Final = b'Digest realm="lab.test",nonce="8f1c27",algorithm=MD5'
_CREDENTIALS: Final = (
    b'Digest username="probe",realm="lab.test",nonce="8f1c27",uri="sip:lab.test",'
    b'response="0cc175b9c0f1b6a831c399e269772661",algorithm=MD5'
)

# Fields of requests, and fields of both requests and responses.
FIELDS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"Authorization", _CREDENTIALS),
    (b"Proxy-Authorization", _CREDENTIALS),
    (b"Allow", b"INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, REFER, NOTIFY, MESSAGE, INFO"),
    (b"Supported", b"100rel, timer, replaces, outbound, path, gruu"),
    (b"Session-Expires", b"1800;refresher=uac"),
    (b"Min-SE", b"90"),
    (b"Privacy", b"none"),
    (b"P-Asserted-Identity", b'"Probe" <sip:probe@lab.test>'),
    (b"Remote-Party-ID", b'"Probe" <sip:probe@lab.test>;party=calling;privacy=off'),
    (b"Diversion", b"<sip:first@lab.test>;reason=unconditional"),
    (b"History-Info", b"<sip:first@lab.test>;index=1"),
    (b"Path", b"<sip:edge.lab.test;lr;ob>"),
    (b"Service-Route", b"<sip:home.lab.test;lr>"),
    (b"Accept", b"application/sdp, application/dialog-info+xml"),
    (b"Accept-Encoding", b"identity"),
    (b"Accept-Language", b"en"),
    (b"Alert-Info", b"<http://lab.test/ring>;info=internal"),
    (b"Call-Info", b"<http://lab.test/card>;purpose=info"),
    (b"Date", b"Sat, 13 Nov 2010 23:29:00 GMT"),
    (b"Subject", b"probe"),
    (b"Organization", b"siplab"),
    (b"Priority", b"normal"),
    (b"Timestamp", b"54"),
    (b"In-Reply-To", b"70710@lab.test"),
    (b"Reply-To", b"<sip:reply@lab.test>"),
    (b"MIME-Version", b"1.0"),
    (b"Content-Disposition", b"session;handling=optional"),
    (b"Content-Language", b"en"),
    (b"Content-Encoding", b"identity"),
    (b"Event", b"dialog"),
    (b"Allow-Events", b"dialog, presence, message-summary, refer"),
    (b"SIP-If-Match", b"dx200xyz"),
    (b"SIP-ETag", b"dx200xyz"),
    (b"Join", b"12adf2f34456gs5;to-tag=12345;from-tag=54321"),
    (b"Replaces", b"425928@lab.test;to-tag=7743;from-tag=6472;early-only"),
    (b"Refer-Sub", b"true"),
    (b"Target-Dialog", b"fa77as7dad8@lab.test;local-tag=kkaz-;remote-tag=6544"),
    (b"Identity", b'"CyI4+nAkHrH3ntmaxgr01TMxTmtjP7MA";info=<https://lab.test/cert>;alg=RS256'),
    (b"Identity-Info", b"<https://lab.test/cert>;alg=rsa-sha1"),
    (b"Accept-Contact", b'*;audio;+sip.instance="<urn:uuid:0>"'),
    (b"Reject-Contact", b"*;video"),
    (b"Request-Disposition", b"proxy, no-fork"),
    (b"Resource-Priority", b"ets.0"),
    (b"Geolocation", b"<cid:place@lab.test>"),
    (b"Geolocation-Routing", b"no"),
    (b"Max-Breadth", b"60"),
    (b"User-to-User", b"56a390f3d2b7310023a2;encoding=hex"),
    (b"Session-ID", b"ab30317f1a784dc48ff824d0d3715d86;remote=0"),
    (b"Recv-Info", b"conference"),
    (b"Info-Package", b"conference"),
    (b"Answer-Mode", b"Manual"),
    (b"Security-Client", b"digest"),
    (b"Security-Verify", b"digest;q=0.1"),
    (b"Security-Server", b"digest;q=0.1"),
    (b"Flow-Timer", b"120"),
    (b"P-Access-Network-Info", b"IEEE-802.11"),
    (b"P-Visited-Network-ID", b'"lab"'),
    (b"P-Charging-Vector", b"icid-value=1234bc9876e"),
    (b"P-Charging-Function-Addresses", b'ccf="charge.lab.test"'),
    (b"P-Associated-URI", b"<sip:also@lab.test>"),
    (b"P-Called-Party-ID", b"<sip:called@lab.test>"),
    (b"P-Asserted-Service", b"urn:urn-7:3gpp-service.ims.icsi.mmtel"),
    (b"P-Preferred-Service", b"urn:urn-7:3gpp-service.ims.icsi.mmtel"),
    (b"P-Served-User", b"<sip:probe@lab.test>;sescase=orig"),
    (b"P-Early-Media", b"supported"),
    (b"P-Profile-Key", b"<sip:key@lab.test>"),
    (b"P-Hint", b"outbound"),
    (b"P-RTP-Stat", b"PS=1,OS=160,PR=1,OR=160"),
    (b"P-Key-Flags", b"resolution=1"),
    (b"Reason", b'Q.850;cause=16;text="Normal call clearing"'),
    (b"WWW-Contact", b"probe"),
    (b"X-Asterisk-HangupCause", b"Normal Clearing"),
    (b"X-Asterisk-HangupCauseCode", b"16"),
    (b"X-Number-Type", b"national"),
    (b"X-Real-IP", b"none"),
    (b"X-Call-ID", b"none"),
    (b"X-CID", b"none"),
    (b"Cisco-Guid", b"1234567890-1234567890"),
    (b"Thread-Topic", b"none"),
)

# Fields that belong to one status, with typical values (RFC 3261 section 21, RFC 3262, 3329, 4028, 6665).
OF_STATUS: Final[dict[int, bytes]] = {
    183: b"Require: 100rel\r\nRSeq: 1\r\n",
    401: b"WWW-Authenticate: " + _DIGEST + b"\r\n",
    405: b"Allow: INVITE, ACK, BYE\r\n",
    407: b"Proxy-Authenticate: " + _DIGEST + b"\r\n",
    415: b"Accept: application/sdp\r\n",
    420: b"Unsupported: 100rel\r\n",
    421: b"Require: timer\r\n",
    422: b"Min-SE: 90\r\n",
    423: b"Min-Expires: 60\r\n",
    480: b"Retry-After: 60\r\n",
    484: b"Error-Info: <http://lab.test/why>\r\nReason: Q.850;cause=28\r\n",
    488: b'Warning: 304 lab.test "Media type not available"\r\n',
    489: b"Allow-Events: dialog\r\n",
    503: b"Retry-After: 5\r\n",
}

# Fields that are required, or usual, in a request of that method.
OF_METHOD: Final[dict[bytes, bytes]] = {
    b"NOTIFY": b"Event: dialog\r\nSubscription-State: active;expires=600\r\n",
    b"PRACK": b"RAck: 1 1 INVITE\r\n",
    b"PUBLISH": b"Event: presence\r\nExpires: 600\r\nSIP-If-Match: dx200xyz\r\n",
    b"REFER": b"Refer-To: <sip:other@lab.test>\r\nReferred-By: <sip:witness@lab.test>\r\n",
    b"SUBSCRIBE": b"Event: dialog\r\nExpires: 600\r\nAccept: application/dialog-info+xml\r\n",
    b"UPDATE": b"Session-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\nRequire: timer\r\n",
}

# Without the statuses that other parts of an examination use: 100, 180, 200, 202, 401, 486, 487.
PROVISIONAL: Final = (181, 182, 183)
FINAL: Final = (
    *(302, 400, 403, 404, 405, 406, 407, 408, 410, 415, 420, 422, 423),
    *(480, 481, 484, 488, 489, 491, 500, 503, 504, 600, 603),
)

# Follows v=, o= and s=. Addresses in session lines are tested by other messages.
_SESSION: Final = b"""\
i=a probe
u=http://lab.test/
e=probe@lab.test
p=+1 617 555 6011
{c}
b=AS:128
t=3034423619 3042462419
r=604800 3600 0 90000
z=3034423619 -1h
k=prompt
a=tool:siplab
a=group:BUNDLE a v
a=ice-options:trickle
a=ice-lite
a=msid-semantic: WMS
a=cat:probe
a=keywds:probe
a=type:meeting
a=charset:UTF-8
a=sdplang:en
a=lang:en
a=range:npt=0-
a=X-nat:0
a=sqn: 0
a=cdsc: 1 audio RTP/AVP 0
a=cpar: a=ptime:20
a=csup:cap-v0
a=creq:cap-v0
"""
_AUDIO: Final = b"""\
a=mid:a
a=rtpmap:0 PCMU/8000
a=rtpmap:111 opus/48000/2
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=maxptime:40
a=minptime:10
a=sendrecv
a=silenceSupp:off - - - -
a=rtcp-mux
a=rtcp-mux-only
a=rtcp-rsize
a=rtcp-fb:* nack
a=rtcp-xr:voip-metrics
a=setup:actpass
a=connection:new
a=fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz
a=ice-ufrag:8hhY
a=ice-pwd:asd88fgpdd777uzjYhagZg
a=end-of-candidates
a=ssrc:314159 cname:probe
a=msid:m t
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=curr:qos local none
a=des:qos mandatory local sendrecv
a=conf:qos remote sendrecv
a=tcap:1 RTP/SAVP
a=acap:1 ptime:20
a=pcfg:1 t=1
a=acfg:1 t=1
a=label:1
a=content:main
a=key-mgmt:mikey AQAFgM
a=maxprate:50
a=direction:both
"""
_VIDEO: Final = b"""\
a=mid:v
a=recvonly
a=framerate:25
a=quality:5
a=orient:landscape
a=framesize:96 352-288
a=imageattr:96 send [x=352,y=288]
a=rid:1 send
a=simulcast:send 1
a=ssrc-group:FID 1 2
a=bundle-only
a=inactive
a=floorctrl:c-only
a=confid:1
a=userid:1
a=floorid:1 mstrm:1
"""
_FAX: Final = b"""\
a=T38FaxVersion:0
a=T38MaxBitRate:14400
a=T38FaxFillBitRemoval
a=T38FaxTranscodingMMR
a=T38FaxTranscodingJBIG
a=T38FaxRateManagement:transferredTCF
a=T38FaxMaxBuffer:262
a=T38FaxMaxDatagram:176
a=T38FaxMaxIFP:40
a=T38FaxUdpEC:t38UDPRedundancy
a=T38FaxUdpECDepth:0 3
a=T38VendorInfo:0 0 0
a=T38ModemType:t38G3FaxOnly
"""


def field_lines(room: int) -> Iterator[bytes]:
    """All of ``FIELDS``, in pieces of at most ``room`` bytes."""
    piece = b""
    for name, value in FIELDS:
        line = b"%b: %b\r\n" % (name, value)
        if piece and len(piece) + len(line) > room:
            yield piece
            piece = b""
        piece += line
    yield piece


def descriptions(ip: str) -> Iterator[bytes]:
    """Session descriptions with all lines and attributes, for a host with the address ``ip``."""
    where = b"IN %b %b" % (b"IP6" if ":" in ip else b"IP4", ip.encode())
    head = b"v=0\no=probe 1 1 " + where + b"\ns=-\n"
    connection = b"c=" + where
    audio = b"m=audio 49170 RTP/AVP 0 111 101\n"
    chat = b"m=application 0 TCP/BFCP *\n"  # a stream that was rejected
    for text in (
        _SESSION.replace(b"{c}", connection) + audio,
        connection + b"\nt=0 0\n" + audio + _AUDIO,
        connection
        + b"\nt=0 0\nm=video 49174 RTP/AVP 96\n"
        + _VIDEO
        + chat
        + b"m=image 49180 udptl t38\n"
        + _FAX,
    ):
        yield (head + text).replace(b"\n", b"\r\n")
