#!/bin/sh
# Installs from Debian the programs that tests drive, where we are root and have apt-get; elsewhere it does nothing.
set -eu
missing=""
for pair in redis-server:redis-server redis-cli:redis-tools chromium:chromium ffmpeg:ffmpeg mosquitto:mosquitto janus:janus; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
[ -e /usr/share/nodejs/redis ] || missing="$missing node-redis"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "not installed, tests that need them are skipped:$missing"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086  # a list of names
apt-get install -y -qq --no-install-recommends $missing >/dev/null
