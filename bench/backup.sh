#!/usr/bin/env bash
# How long a backup, its check and a restore take, and how large it is: a database full of jobs that were done. See README.md.
#   bench/backup.sh                                          SQLite in a temporary directory
#   DATABASE_URL=postgres://owner@127.0.0.1/empty bench/backup.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

: "${BINARY:=}"                # the program; built when not given
: "${DATABASE_URL:=}"          # an empty PostgreSQL database whose login may make others; SQLite when not given
: "${PORT:=3130}"
: "${ROUNDS:=50}"              # each of 10,000 jobs, which are 20,000 rows

. "$here/server.sh"
export MAINSTAY_BACKUP__TO="$scratch/backups" MAINSTAY_BACKUP__SCHEDULE="0 0 1 1 *" MAINSTAY_BACKUP__DRILL_SCHEDULE=""
start_server
cd "$scratch"
for round in $(seq "$ROUNDS"); do
  "$BINARY" jobs probe --count 10000 --key "round$round" --wait >/dev/null
done
echo "== while the server serves"
"$BINARY" backup make
"$BINARY" backup check
"$BINARY" restore --verify
echo "== encrypted"
MAINSTAY_BACKUP__ENCRYPTION_KEY=$(printf 'ab%.0s' $(seq 32)) "$BINARY" backup make
