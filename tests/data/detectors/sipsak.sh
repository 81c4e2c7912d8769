#!/bin/sh
# A detector in shell: sipsak sends a REGISTER to a mirror server, which returns it in Base64.
# Usage: sipsak.sh SERVER_IP PORT OWN_IP
# Exit status: 0 nothing was changed, 2 something was ("changed: NAME" says what), 3 no answer.
set -u
server=$1 port=$2 own=$3

answer=$(timeout 8 sipsak -vvv -U -i -H "$own" -x 60 -C "sip:probe@$own:5060" \
    -s "sip:probe@$server:$port" -l 5060 2>&1 | tr -d '\r')
case $answer in
    *siplab-mirror*) ;;
    *) echo "no answer of the mirror server"; exit 3 ;;
esac
image=$(printf '%s\n' "$answer" | grep -E '^[A-Za-z0-9+/]{40,}=*$' | base64 -d | tr -d '\r')

status=0
for name in Via From To Call-ID CSeq Contact Expires; do
    # The first of that name in sipsak's report is the one that it sent.
    sent=$(printf '%s\n' "$answer" | grep -m1 "^$name: ")
    seen=$(printf '%s\n' "$image" | grep -m1 "^$name: ")
    if [ "$sent" != "$seen" ]; then
        echo "changed: $name"
        status=2
    fi
done
exit $status
