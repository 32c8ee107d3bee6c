#!/bin/sh
# A room's present state, then every event; sh follow.sh ROOM [redis://…]
set -eu
key="classmood:{$1}" url="${2:-redis://127.0.0.1:6379/0}"
cli() { redis-cli -e -u "$url" "$@"; } # -e: fail when Redis reports an error
present='NR % 2 { field = $0; next } { of[field] = $0 } END { if (of["present"]) print of["name"], of["emotion"] }'

id=$(cli xrevrange "$key:events" + - count 1 | head -n 1) # before the state: what happens in between is seen twice, not lost
cli zrange "$key:participants" 0 -1 | while read -r who; do
  person=$(cli hgetall "$key:participant:$who") # alternating lines: field, value
  printf '%s\n' "$person" | awk "$present"
done
while :; do # lines of a page: the stream id, the word event, the event itself
  page=$(cli xread count 100 block 5000 streams "$key:events" "${id:-0-0}")
  printf '%s\n' "$page" | grep '^{' || true
  id=$(printf '%s\n' "$page" | grep -E '^[0-9]+-[0-9]+$' | tail -n 1 | grep . || echo "$id")
done
