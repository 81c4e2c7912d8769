#!/bin/sh
# A detector for an image that holds nothing but busybox: a REGISTER over TCP, and its checksum back.
# Usage: container.sh server PORT | container.sh client SERVER_IP PORT OWN_IP
set -u
cr=$(printf '\r')

request() {
    printf '%s\r\n' "REGISTER sip:lab.test SIP/2.0" "Via: SIP/2.0/TCP $1:5060;branch=z9hG4bK1" \
        "Max-Forwards: 70" "From: <sip:probe@lab.test>;tag=1" "To: <sip:probe@lab.test>" \
        "Call-ID: 1@$1" "CSeq: 1 REGISTER" "Contact: <sip:probe@$1:5060;transport=tcp>" \
        "Content-Length: 0" ""
}

checksum() {
    while IFS= read -r line && [ "$line" != "$cr" ]; do printf '%s\n' "$line"; done | md5sum
}

case $1 in
    server) exec nc -ll -p "$2" -e /detector.sh answer ;;
    answer) checksum ;;
    client)
        answer=$(request "$4" | nc -w 5 "$2" "$3")
        [ -n "$answer" ] || exit 3
        [ "$answer" = "$(request "$4" | checksum)" ] || exit 2
        ;;
esac
