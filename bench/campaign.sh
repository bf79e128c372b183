#!/usr/bin/env bash
# What the page of a campaign with a million emails asks for, and how long that takes. See README.md.
#   bench/campaign.sh                                              SQLite in a temporary directory
#   DATABASE_URL=postgres://owner@127.0.0.1/empty FILL_URL=postgres://superuser@127.0.0.1/empty bench/campaign.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

: "${BINARY:=}"                # the program; built when not given
: "${DATABASE_URL:=}"          # an empty PostgreSQL database whose login may make others; SQLite when not given
: "${FILL_URL:=$DATABASE_URL}" # the same, by a login that no policy binds
: "${PORT:=3133}"
: "${LEADS:=500000}"           # each with two emails

. "$here/server.sh"
. "$here/no-limits.sh"
start_server
# What is filled in is no campaign that anybody sends.
export MAINSTAY_OUTREACH__ALLOW_PRIVATE=127.0.0.0/8
BASE="$ours" PART=make LEADS=$LEADS NAMES="$scratch/names" python3 "$here/load/campaign.py" >"$scratch/fill.sql"
kill "$server"
wait "$server" || true
case "$DATABASE_URL" in
  sqlite:*) python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.stdin.read())' "${DATABASE_URL#sqlite:}" <"$scratch/fill.sql" ;;
  *) psql -q -v ON_ERROR_STOP=1 "$FILL_URL" -f "$scratch/fill.sql" ;;
esac
start_server
BASE="$ours" PART=ask LEADS=$LEADS NAMES="$scratch/names" python3 "$here/load/campaign.py"
