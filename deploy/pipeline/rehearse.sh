#!/usr/bin/env bash
# rehearse.sh RELEASED NEW: rehearses the way back before it is needed. The new program's schema is made, the released program
# serves from it under load, then the new one from what that has written, then the released one again. Any request that fails,
# and any line of the log that is an error, fails the rehearsal. Everything is on this machine, in a folder that is thrown away;
# with REHEARSE_DATABASE_URL it is an empty database on PostgreSQL instead of a file.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

released=$(realpath -- "${1:?the program that is released}")
new=$(realpath -- "${2:?the new program}")
seconds=${REHEARSE_SECONDS:-20}
users=${REHEARSE_USERS:-100}
folder=$(mktemp -d)
server=""

clean_up() {
  if [ -n "$server" ] && kill "$server" 2>/dev/null; then wait "$server" || true; fi
  rm -rf "$folder"
}
trap clean_up EXIT

cd "$folder"
export MAINSTAY_PROVIDERS__ORDER=offline MAINSTAY_LOG__LEVEL=warn MAINSTAY_LOG__FORMAT=json
export MAINSTAY_DATABASE__ACCEPT_NEWER_SCHEMA=true MAINSTAY_ALERTS__DISK_PERCENT=100
export MAINSTAY_AUTH__PASSWORD_MEMORY_KIB=64 MAINSTAY_AUTH__PASSWORD_PASSES=1
if [ -n "${REHEARSE_DATABASE_URL:-}" ]; then export DATABASE_URL="$REHEARSE_DATABASE_URL"; fi

# serve PROGRAM NAME: the server on a free port; sets url.
serve() {
  : >"$2.out"
  PORT=0 "$1" serve >"$2.out" 2>"$2.log" &
  server=$!
  local tries=0
  until url=$(sed -n 's/^Mainstay serves on \([^ ]*\).*/\1/p' "$2.out" | head -n 1) && [ -n "$url" ]; do
    if ! kill -0 "$server" 2>/dev/null || [ "$tries" -ge 600 ]; then
      cat "$2.out" "$2.log" >&2
      say "REHEARSAL FAILED  $2 does not start on this schema"
      exit 1
    fi
    tries=$((tries + 1))
    sleep 0.1
  done
}

# rehearse PROGRAM NAME: load on it, without one error.
rehearse() {
  say "$2 serves for $seconds s"
  serve "$1" "$2"
  if ! "$new" load --url "$url" --profile mixed --users "$users" --per-minute 60 --ramp-up 2 --steady "$seconds" \
    --ramp-down 1 --errors 0 >"$2.load" 2>&1; then
    cat "$2.load" >&2
    say "REHEARSAL FAILED  $2 did not answer every request"
    exit 1
  fi
  "$1" smoke --url "$url" --timeout-seconds 30 >&2
  kill -TERM "$server"
  wait "$server" || { say "REHEARSAL FAILED  $2 does not stop"; exit 1; }
  server=""
  if grep -h '"level":"ERROR"' "$2.out" "$2.log" >&2; then
    say "REHEARSAL FAILED  $2 has logged errors"
    exit 1
  fi
  tail -n 12 "$2.load" >&2
}

"$new" migrate up >&2
rehearse "$released" released
rehearse "$new" new
rehearse "$released" released-again
say "the way back is open: $(digest_of "$released") serves from the schema of $(digest_of "$new")"
