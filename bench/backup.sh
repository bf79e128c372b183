#!/usr/bin/env bash
# How long a backup, its check and a restore take, and how large it is: a database full of jobs that were done. See README.md.
#   bench/backup.sh                                          SQLite in a temporary directory
#   DATABASE_URL=postgres://owner@127.0.0.1/empty bench/backup.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

: "${BINARY:=}"                # the program; built when not given
: "${DATABASE_URL:=}"          # an empty PostgreSQL database whose login may make others; SQLite when not given
: "${ROUNDS:=50}"              # each of 10,000 jobs, which are 20,000 rows

if [ -z "$BINARY" ]; then
  cargo build --release --locked --bin mainstay
  BINARY=${CARGO_TARGET_DIR:-target}/release/mainstay
fi
BINARY=$(realpath "$BINARY")
scratch=$(mktemp -d)
server=""
cleanup() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$scratch"
}
trap cleanup EXIT
cd "$scratch"
export DATABASE_URL="${DATABASE_URL:-sqlite:$scratch/mainstay.db}"
export MAINSTAY_DATABASE__MIGRATE_ON_START=true MAINSTAY_LOG__LEVEL=warn PORT=0
export MAINSTAY_BACKUP__TO="$scratch/backups" MAINSTAY_BACKUP__SCHEDULE="0 0 1 1 *" MAINSTAY_BACKUP__DRILL_SCHEDULE=""

"$BINARY" serve >"$scratch/log" 2>&1 &
server=$!
for _ in $(seq 300); do
  if grep -q "Stop it with" "$scratch/log"; then break; fi
  kill -0 "$server" 2>/dev/null || { tail -n 20 "$scratch/log" >&2; exit 1; }
  sleep 0.1
done
for round in $(seq "$ROUNDS"); do
  "$BINARY" jobs probe --count 10000 --key "round$round" --wait >/dev/null
done
echo "== while the server serves"
"$BINARY" backup make
"$BINARY" backup check
"$BINARY" restore --verify
echo "== encrypted"
MAINSTAY_BACKUP__ENCRYPTION_KEY=$(printf 'ab%.0s' $(seq 32)) "$BINARY" backup make
