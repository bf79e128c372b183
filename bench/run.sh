#!/usr/bin/env bash
# Measures the release build on this machine, and another server beside it when one is named. See README.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

: "${BINARY:=}"                # the server; built when not given
: "${DATABASE_URL:=}"          # an empty PostgreSQL database; SQLite in a temporary directory when not given
: "${PORT:=3100}"
: "${USERS:=2000}"
: "${SIGNERS:=16}"             # people with a password, who sign in
: "${TOKEN_SECONDS:=3600}"     # must outlast the run
: "${CONNECTIONS:=64}"
: "${THREADS:=2}"
: "${WARM_UP:=5}"              # seconds, not counted
: "${DURATION:=15}"            # seconds of each measurement
: "${ROUNDS:=1}"               # the servers take turns in each round
: "${PEER_URL:=}"              # another server, already running: http://127.0.0.1:3001
: "${PEER_TOKENS:=}"           # a file with one of its access tokens on each line
: "${PEER_MESSAGES_PATH:=/v1/messages}"
: "${PEER_LIST_PATH:=/v1/conversations}"
: "${PEER_SYNC_PATH:=/v1/sync}"
: "${PEER_LOADS:=messages}"    # which of the loads the other server has: messages, list, sync

command -v wrk >/dev/null || { echo "wrk is not installed" >&2; exit 1; }
if [ -n "$PEER_URL" ] && [ ! -s "$PEER_TOKENS" ]; then
  echo "PEER_URL needs PEER_TOKENS, a file of access tokens" >&2
  exit 1
fi
. "$here/server.sh"
PASSWORD="a long password for the bench"
# The load generator hangs up in the middle of a few sign-ins when its time is over, which counts as failures.
export MAINSTAY_AUTH__SIGN_IN_FAILURES=1000
. "$here/no-limits.sh"
export MAINSTAY_PROVIDERS__ORDER=offline MAINSTAY_PROVIDERS__OFFLINE__WORD_MS=0

make_users() {
  local number
  for number in $(seq "$USERS"); do echo "person$number@bench.example"; done >"$scratch/emails"
  # Few have a password: hashing thousands of them would take longer than the measurement.
  for number in $(seq "$SIGNERS"); do echo "signer$number@bench.example,$PASSWORD"; done >"$scratch/signers"
  cut -d, -f1 "$scratch/signers" >"$scratch/signer-emails"
  (cd "$scratch" && "$BINARY" user import emails >"$scratch/import.log" && "$BINARY" user import signers >>"$scratch/import.log")
  (cd "$scratch" && "$BINARY" plan limits free --messages-per-day none --messages-per-month none >"$scratch/plans.log")
  (cd "$scratch" && "$BINARY" token --email-file emails --seconds "$TOKEN_SECONDS") >"$scratch/tokens"
  local made
  made=$(wc -l <"$scratch/tokens")
  [ "$made" -eq "$USERS" ] || { echo "$made tokens for $USERS people" >&2; exit 1; }
}

# What each of the first people asks when they have seen everything.
follow() {
  head -n 500 "$scratch/tokens" >"$scratch/followers"
  : >"$scratch/polls"
  local token
  while read -r token; do
    curl -fsS -w '\n' -H "Authorization: Bearer $token" "$ours/v1/sync?limit=50" |
      sed -n 's/.*"cursor":"\([^"]*\)","complete":true.*/?cursor=\1/p' >>"$scratch/polls"
  done <"$scratch/followers"
  [ "$(wc -l <"$scratch/polls")" -eq "$(wc -l <"$scratch/followers")" ] || { echo "somebody has more than a page" >&2; exit 1; }
}

# measure LOAD CONNECTIONS URL TOKENS: prints what the load's done() says after RESULT.
measure() {
  local script=$1
  # A poll is a list with a query of its own for each person.
  if [ "$script" = sync ]; then script=list; fi
  local wrk=(wrk "-t$THREADS" "-c$2" --latency -s "$here/load/$script.lua")
  export TOKENS=$4 EMAILS=$scratch/signer-emails PASSWORD
  "${wrk[@]}" "-d${WARM_UP}s" "$3" >"$scratch/wrk" 2>&1 || { cat "$scratch/wrk" >&2; exit 1; }
  "${wrk[@]}" "-d${DURATION}s" "$3" >"$scratch/wrk" 2>&1 || { cat "$scratch/wrk" >&2; exit 1; }
  local result
  result=$(sed -n 's/^RESULT //p' "$scratch/wrk")
  [ -n "$result" ] || { cat "$scratch/wrk" >&2; exit 1; }
  echo "$result"
}

# row SERVER LOAD CONNECTIONS URL TOKENS: measures and prints one line of the table; leaves the rate in $rate.
row() {
  local p50 p99 refused sockets
  read -r rate p50 p99 refused sockets < <(measure "$2" "$3" "$4" "$5")
  printf '| %-8s | %-8s | %8s | %7s | %7s | %6s | %6s |\n' "$2" "$1" "$rate" "$p50" "$p99" "$refused" "$sockets"
  if [ "$refused" -ne 0 ] || [ "$sockets" -ne 0 ]; then suspect=1; fi
}

start_server
make_users
follow

kind=SQLite
case "$DATABASE_URL" in postgres*) kind=PostgreSQL ;; esac
model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
echo
echo "$(nproc) cores of ${model:-unknown}, Linux $(uname -r), $kind, $USERS people, $CONNECTIONS connections, $DURATION s each; load generator on the same machine"
echo
echo "| load     | server   |   each s |  p50 ms |  p99 ms | >= 400 | socket |"
echo "|----------|----------|---------:|--------:|--------:|-------:|-------:|"
suspect=0
ratios=""
for round in $(seq "$ROUNDS"); do
  # The list first in the first round: it is empty only until the messages have been sent.
  for load in list sync messages sign_in; do
    # What was sent since moves the cursors.
    if [ "$load" = sync ] && [ "$round" -gt 1 ]; then continue; fi
    connections=$CONNECTIONS
    # Hashing a password is slow on purpose. More of them at once would measure the queue.
    if [ "$load" = sign_in ]; then connections=4; fi
    if [ "$load" = sync ]; then
      LIST_PATH=/v1/sync QUERIES=$scratch/polls row mainstay sync "$connections" "$ours" "$scratch/followers"
    else
      row mainstay "$load" "$connections" "$ours" "$scratch/tokens"
    fi
    case " $PEER_LOADS " in *" $load "*) ;; *) continue ;; esac
    if [ -n "$PEER_URL" ]; then
      mine=$rate
      path=$PEER_LIST_PATH
      if [ "$load" = sync ]; then path=$PEER_SYNC_PATH; fi
      MESSAGES_PATH=$PEER_MESSAGES_PATH LIST_PATH=$path row peer "$load" "$connections" "$PEER_URL" "$PEER_TOKENS"
      ratios+="$load, round $round: $(awk -v mine="$mine" -v peer="$rate" 'BEGIN { if (peer > 0) printf "%.1f", mine / peer; else printf "-" }') times the peer\n"
    fi
  done
done
echo
printf '%b' "$ratios"
echo "memory of mainstay: $(awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$server/status") MB resident"
if [ "$suspect" -ne 0 ]; then
  echo "REFUSALS OR SOCKET ERRORS: these figures do not measure the work" >&2
  tail -n 20 "$scratch/log" >&2
  exit 1
fi
