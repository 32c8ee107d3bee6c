#!/bin/sh
# Starts Janus with the configuration beside this file, secrets filled in from the environment:
#   JANUS_PIN          what everybody must bring to join the room; empty for none
#   JANUS_ROOM_SECRET  what `kick`, `destroy` and the like must bring; a random one if not set
set -eu
umask 077
room_secret=${JANUS_ROOM_SECRET:-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}
for value in "${JANUS_PIN:-}" "$room_secret"; do
  case $value in
    *[!A-Za-z0-9_.~-]*)
      echo "JANUS_PIN and JANUS_ROOM_SECRET may hold letters, digits and _ . ~ - only" >&2
      exit 2
      ;;
  esac
done
filled=$(mktemp -d)
for file in "$(dirname "$0")"/*.jcfg; do
  sed -e "s/@PIN@/${JANUS_PIN:-}/" -e "s/@ROOM_SECRET@/$room_secret/" "$file" >"$filled/${file##*/}"
done
# an empty PIN would be one that everybody has to bring
[ -n "${JANUS_PIN:-}" ] || sed -i '/pin = ""/d' "$filled/janus.plugin.videoroom.jcfg"
exec janus --configs-folder "$filled" --disable-colors
