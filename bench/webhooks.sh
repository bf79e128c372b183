#!/usr/bin/env bash
# How many signed webhooks a second are verified, stored, acknowledged and processed, beside another server when one is named.
# See README.md.
#   bench/webhooks.sh                                          SQLite in a temporary directory
#   DATABASE_URL=postgres://owner@127.0.0.1/empty bench/webhooks.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

: "${BINARY:=}"                # the server; built when not given
: "${DATABASE_URL:=}"          # an empty PostgreSQL database; SQLite in a temporary directory when not given
: "${PORT:=3100}"
: "${CONNECTIONS:=256}"
: "${WARM_UP:=3}"              # seconds, not counted
: "${DURATION:=10}"            # seconds of each measurement
: "${ROUNDS:=3}"               # the servers take turns in each round
: "${MOST:=40000}"             # webhooks a second that are prepared: more than are answered
: "${BY_JOB:=}"               # anything: each event is processed by a job (FastSpring), and not where it is stored
: "${PEER_URL:=}"              # another server, already running
: "${PEER_PATH:=/webhooks/vapi}"
: "${PEER_SECRET:=peer-secret}"
: "${PEER_DONE:=}"             # a command that prints how many the other server has processed

for tool in wrk perl; do
  command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
. "$here/server.sh"
. "$here/no-limits.sh"
start_server

# The value of a field of the JSON on standard input.
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

token=$(curl -fsS -H 'Content-Type: application/json' "$ours/v1/auth/sign-up" \
  -d '{"email":"bench@bench.example","password":"a long password for the bench"}' | field access_token)
sender='"provider":"generic","scheme":{"mode":"hmac","signature_header":"x-signature"}'
header=x-signature
if [ -n "$BY_JOB" ]; then
  sender='"provider":"fastspring"'
  header=x-fs-signature
fi
path=$(curl -fsS -H 'Content-Type: application/json' -H "Authorization: Bearer $token" "$ours/v1/inbox-sources" \
  -d "{\"name\":\"Bench\",\"secrets\":[\"$PEER_SECRET\"],$sender}" |
  field url | sed 's|.*/hooks/|/hooks/|')
[ -n "$path" ] || { echo "no sender was made" >&2; exit 1; }

# webhooks COUNT NAME HEADER: signed bodies of about 230 bytes, never the same twice.
webhooks() {
  perl -MDigest::SHA=hmac_sha256_hex,hmac_sha256_base64 -e '
    my ($secret, $count, $name, $header) = @ARGV;
    for my $number (1 .. $count) {
      my $id = "$name-$number";
      if ($header eq "x-fs-signature") {
        my $body = qq({"events":[{"id":"$id","type":"order.completed","created":1764300000000,"data":{"id":"$id","account":"org-) . $number % 27 .
          qq(","currency":"USD","total":49,"items":[{"product":"core-monthly","quantity":1}],"note":"Paid by card"}}]});
        print hmac_sha256_base64($body, $secret), "=\t", $body, "\n";
        next;
      }
      my $body = qq({"id":"$id","message":{"type":"end-of-call-report","call":{"id":"$id","orgId":"org-) . $number % 27 .
        qq("},"endedReason":"customer-ended-call","analysis":{"summary":"Caller booked a cleaning for Tuesday at ten."},"cost":0.12}});
      print hmac_sha256_hex($body, $secret), "\t", $body, "\n";
    }' "$PEER_SECRET" "$1" "$2" "$3"
}

# What has no job is processed when it is stored.
our_done() {
  local counted='^mainstay_webhooks_total.*outcome="stored"'
  if [ -n "$BY_JOB" ]; then counted='^mainstay_job_attempts_total.*queue="inbox".*outcome="done"'; fi
  curl -fsS "$ours/metrics" | awk -v counted="$counted" '$0 ~ counted { sum += $2 } END { print int(sum) }'
}

# load URL PATH SECONDS HEADER: sends, and leaves what the load's done() says in $result.
load() {
  webhooks $((MOST * $3)) "$(date +%s%N)" "$4" >"$scratch/webhooks"
  WEBHOOK_HEADER=$4 WEBHOOKS=$scratch/webhooks WEBHOOK_PATH=$2 wrk -t2 "-c$CONNECTIONS" "-d$3s" --latency -s "$here/load/webhooks.lua" "$1" >"$scratch/wrk" 2>&1
  result=$(sed -n 's/^RESULT //p' "$scratch/wrk")
  [ -n "$result" ] || { cat "$scratch/wrk" >&2; exit 1; }
}

# settle DONE: waits until no more is processed; leaves how many were in $done and the seconds it took in $late.
settle() {
  local before="" began now
  began=$(date +%s%N)
  late=0
  while done=$($1) && [ "$done" != "$before" ]; do
    before=$done
    now=$(date +%s%N)
    late=$(awk -v took="$((now - began))" 'BEGIN { print took / 1e9 }')
    sleep 0.3
  done
}

# row SERVER URL PATH DONE HEADER: measures and prints a line of the table; leaves the rate of what was processed in $processed.
row() {
  local before p50 p99 refused sockets acknowledged
  load "$2" "$3" "$WARM_UP" "$5"
  settle "$4"
  before=$done
  load "$2" "$3" "$DURATION" "$5"
  read -r acknowledged p50 p99 refused sockets <<<"$result"
  settle "$4"
  processed=$(awk -v count="$((done - before))" -v seconds="$DURATION" -v late="$late" 'BEGIN { printf "%d", count / (seconds + late) }')
  printf '| %-8s | %12s | %11s | %7s | %7s | %6s | %6s |\n' "$1" "$acknowledged" "$processed" "$p50" "$p99" "$refused" "$sockets"
  if [ "$refused" -ne 0 ] || [ "$sockets" -ne 0 ]; then suspect=1; fi
}

kind=SQLite
case "$DATABASE_URL" in postgres*) kind=PostgreSQL ;; esac
model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
echo
echo "$(nproc) cores of ${model:-unknown}, Linux $(uname -r), $kind, $CONNECTIONS connections, $DURATION s each; load generator on the same machine"
echo
echo "| server   | acknowledged | processed/s |  p50 ms |  p99 ms | >= 400 | socket |"
echo "|----------|-------------:|------------:|--------:|--------:|-------:|-------:|"
suspect=0
ratios=""
for round in $(seq "$ROUNDS"); do
  row mainstay "$ours" "$path" our_done "$header"
  if [ -n "$PEER_URL" ]; then
    mine=$processed
    row peer "$PEER_URL" "$PEER_PATH" "${PEER_DONE:?a command that prints how many the other server has processed}" x-signature
    ratios+="round $round: $(awk -v mine="$mine" -v peer="$processed" 'BEGIN { if (peer > 0) printf "%.1f", mine / peer; else printf "-" }') times the peer\n"
  fi
done
echo
printf '%b' "$ratios"
if [ "$suspect" -ne 0 ]; then
  echo "REFUSALS OR SOCKET ERRORS: these figures do not measure the work" >&2
  tail -n 20 "$scratch/log" >&2
  exit 1
fi
