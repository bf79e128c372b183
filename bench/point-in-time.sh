#!/usr/bin/env bash
# What pgBackRest gives back of a PostgreSQL whose disk is lost, and how long that takes: a server of its own that writes,
# a backup, a lost disk, the newest state restored, and a moment restored. Every message that a client was told of is looked
# for. See README.md.
#   bench/point-in-time.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

: "${BINARY:=}"                # the program; built when not given
: "${PORT:=3140}"
: "${DATABASE_PORT:=3141}"
: "${ARCHIVE_TIMEOUT:=10}"     # seconds after which what was written is archived, however little it is
: "${WRITE_FOR:=45}"           # seconds between the backup and the loss of the disk
: "${ROUNDS:=20}"              # each of 10,000 jobs that were done, so that there is something to restore

command -v pgbackrest >/dev/null || { echo "pgbackrest is not installed" >&2; exit 1; }
postgres=$(compgen -G '/usr/lib/postgresql/*/bin' | tail -n 1)
area=$(mktemp -d)
# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" -eq 0 ]; then
  chown postgres "$area"
  as=(setpriv --reuid postgres --regid postgres --init-groups)
fi
run() { (cd "$area" && "${as[@]}" "$@"); }

cat >"$area/pgbackrest.conf" <<CONF
[global]
repo1-path=$area/repository
repo1-retention-full=2
lock-path=$area/lock
log-path=$area/log
log-level-console=warn
start-fast=y
[main]
pg1-path=$area/data
pg1-port=$DATABASE_PORT
pg1-socket-path=$area
CONF
mkdir "$area/repository" "$area/log" "$area/lock"
if [ "$(id -u)" -eq 0 ]; then chown postgres "$area"/*; fi
backrest() { run pgbackrest --config="$area/pgbackrest.conf" --stanza=main "$@"; }
sql() { run "$postgres/psql" -qAt -h 127.0.0.1 -p "$DATABASE_PORT" -U postgres "$@"; }

database=""
start_database() {
  run "$postgres/postgres" -D "$area/data" >>"$area/database.log" 2>&1 &
  database=$!
  for _ in $(seq 600); do
    # A server that still recovers answers, and takes no writes.
    if [ "$(sql -d postgres -c 'SELECT pg_is_in_recovery()' 2>/dev/null)" = f ]; then return; fi
    kill -0 "$database" 2>/dev/null || { tail -n 20 "$area/database.log" >&2; return 1; }
    sleep 0.1
  done
  return 1
}
# stop_database SIGNAL
stop_database() {
  local leader
  leader=$(head -n 1 "$area/data/postmaster.pid" 2>/dev/null) || return 0
  kill "-$1" "$leader" 2>/dev/null || true
  wait "$database" 2>/dev/null || true
}
# Ends it as a power failure would, and takes the disk away.
lose_database() {
  stop_database QUIT
  rm -rf "$area/data"
}

run "$postgres/initdb" -D "$area/data" --username=postgres --auth=trust --data-checksums >"$area/initdb.log"
run tee -a "$area/data/postgresql.conf" >/dev/null <<CONF
port = $DATABASE_PORT
listen_addresses = '127.0.0.1'
unix_socket_directories = '$area'
archive_mode = on
archive_timeout = $ARCHIVE_TIMEOUT
archive_command = 'pgbackrest --config=$area/pgbackrest.conf --stanza=main archive-push %p'
CONF
start_database
sql -d postgres -c "CREATE ROLE owner LOGIN CREATEROLE CREATEDB" -c "CREATE DATABASE mainstay OWNER owner"
backrest stanza-create

export DATABASE_URL="postgres://owner@127.0.0.1:$DATABASE_PORT/mainstay"
. "$here/server.sh"
clean_up_database() {
  cleanup
  stop_database INT
  rm -rf "$area"
}
trap clean_up_database EXIT
. "$here/no-limits.sh"
export MAINSTAY_PROVIDERS__ORDER=offline MAINSTAY_PROVIDERS__OFFLINE__WORD_MS=0
start_server
for round in $(seq "$ROUNDS"); do
  (cd "$scratch" && "$BINARY" jobs probe --count 10000 --key "round$round" --wait >/dev/null)
done
echo ada@bench.example >"$scratch/emails"
(cd "$scratch" && "$BINARY" user import emails >import.log && "$BINARY" token --email-file emails --seconds 86400 >tokens)
(cd "$scratch" && "$BINARY" plan limits free --messages-per-day none --messages-per-month none >plans.log)
token=$(head -n 1 "$scratch/tokens")

# Every message that was acknowledged, with the moment of the acknowledgement.
write() {
  local number=0 body
  while [ ! -e "$scratch/enough" ]; do
    number=$((number + 1))
    body="{\"content\":\"message $number\"}"
    if curl -fsS -m 5 -o "$scratch/answer" -H "authorization: Bearer $token" -H 'content-type: application/json' -d "$body" "$ours/v1/messages" 2>>"$scratch/errors"; then
      echo "$number $(date +%s.%N)" >>"$scratch/told"
    fi
  done
}
write &
writer=$!

seconds() { awk -v from="$1" -v to="$2" 'BEGIN { printf "%.1f", to - from }'; }
begun=$(date +%s.%N)
backrest --type=full backup
echo "a full backup while it writes: $(seconds "$begun" "$(date +%s.%N)") s, the database $(sql -d mainstay -c "SELECT pg_size_pretty(pg_database_size('mainstay'))"), the repository $(du -sh "$area/repository" | cut -f1)"
sleep $((WRITE_FOR / 2))
moment=$(date -u '+%Y-%m-%d %H:%M:%S+00')
sleep $((WRITE_FOR - WRITE_FOR / 2))

lost=$(date +%s.%N)
lose_database
touch "$scratch/enough"
wait "$writer" || true
kill "$server"; wait "$server" || true; server=""

# What is missing of what was told, and since when. Only the first words of each question are looked at.
compare() {
  sql -d mainstay -c "SELECT substr(content, 9) FROM message WHERE role = 'user' AND content LIKE 'message %'" | sort >"$scratch/there"
  sort "$scratch/told" | join -v 1 - "$scratch/there" | sort -k2n >"$scratch/missing"
}
begun=$(date +%s.%N)
backrest restore
start_database
start_server
echo "the newest state, until the server is ready: $(seconds "$begun" "$(date +%s.%N)") s"
compare
first=$(head -n 1 "$scratch/missing" | cut -d' ' -f2)
echo "missing: $(wc -l <"$scratch/missing") of $(wc -l <"$scratch/told") messages that were told, the first of them $(seconds "${first:-$lost}" "$lost") s before the disk was lost (archive_timeout is $ARCHIVE_TIMEOUT s)"
# What is lost is the end, and never something before what is there.
after=$(awk -v first="${first:-0}" 'first > 0 && $2 >= first' "$scratch/told" | wc -l)
[ "$after" -eq "$(wc -l <"$scratch/missing")" ] || { echo "A MESSAGE IS MISSING BEFORE ONE THAT IS THERE" >&2; exit 1; }

kill "$server"; wait "$server" || true; server=""
lose_database
begun=$(date +%s.%N)
backrest --type=time --target="$moment" --target-action=promote restore
start_database
start_server
echo "the moment $moment, until the server is ready: $(seconds "$begun" "$(date +%s.%N)") s"
compare
by_then=$(awk -v moment="$(date -d "$moment" +%s)" '$2 <= moment' "$scratch/told" | wc -l)
gone=$(awk -v moment="$(date -d "$moment" +%s)" '$2 <= moment' "$scratch/missing" | wc -l)
echo "there: $(wc -l <"$scratch/there") messages; $by_then were told by then, of which $gone are missing"
[ "$gone" -eq 0 ] || exit 1
