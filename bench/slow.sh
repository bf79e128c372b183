#!/usr/bin/env bash
# What good requests take while thousands of connections send their heads, send their bodies, or read their answers a byte at a
# time. See README.md.
#   bench/slow.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

: "${BINARY:=}"                # the program; built when not given
: "${DATABASE_URL:=}"          # SQLite in a temporary directory when not given
: "${PORT:=3133}"
: "${CONNECTIONS:=2000}"
: "${SECONDS_EACH:=20}"
: "${CLIENTS:=4}"              # that ask for something good
: "${PAUSE:=0.02}"             # between two requests of one of them, in seconds

. "$here/server.sh"
. "$here/no-limits.sh"
# Without a pace of reading, as a model that answers at once.
export MAINSTAY_PROVIDERS__OFFLINE__WORD_MS=0
start_server
(cd "$scratch" && "$BINARY" plan limits free --messages-per-day none --messages-per-month none >"$scratch/plans.log")
BASE="$ours" CONNECTIONS=$CONNECTIONS SECONDS=$SECONDS_EACH CLIENTS=$CLIENTS PAUSE=$PAUSE python3 "$here/load/slow.py"
