#!/bin/sh
# A room's present state, then every event; sh follow.sh ROOM [redis://…]
set -eu
key="classmood:{$1}" url="${2:-redis://127.0.0.1:6379/0}"
cli() { redis-cli -e -u "$url" "$@"; } # -e: an error of Redis is an error of ours
present='NR % 2 { field = $0; next } { of[field] = $0 } END { if (of["present"]) print of["name"], of["emotion"] }'

id=$(cli xrevrange "$key:events" + - count 1 | head -n 1) # before the state: what comes between is told twice, not lost
cli zrange "$key:participants" 0 -1 | while read -r who; do
  person=$(cli hgetall "$key:participant:$who") # lines of field and value in turn
  printf '%s\n' "$person" | awk "$present"
done
while :; do # a page is lines of stream id, the word event, and the event itself
  page=$(cli xread count 100 block 5000 streams "$key:events" "${id:-0-0}")
  printf '%s\n' "$page" | grep '^{' || true
  id=$(printf '%s\n' "$page" | grep -E '^[0-9]+-[0-9]+$' | tail -n 1 | grep . || echo "$id")
done
