#!/usr/bin/env bash
# Measures what happens when there is more to do than can be done: the peak, twice the peak, the time until all is well
# again, and one organisation with a hundred times the requests of each other one. See docs/overload.md and README.md.
# Server and load generator have a core each, where there are two.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

: "${BINARY:=}"                # the server; built when not given
: "${DATABASE_URL:=}"          # an empty PostgreSQL database; SQLite in a temporary directory when not given
: "${PORT:=3110}"
: "${WHAT:=messages}"          # messages or list
: "${USERS:=2000}"             # each with an organisation of their own
: "${CONNECTIONS:=64}"         # for the peak
: "${CROWD:=3000}"             # connections for twice the peak; many, so that answers that take long hold few requests up
: "${FILL:=20}"                # seconds at the peak first: a database that is still empty is faster than any that is used
: "${DURATION:=20}"            # seconds of each measurement
: "${WARM_UP:=8}"              # seconds, not counted
: "${OVERLOADS:=5}"            # of the overload; the median counts, 0 leaves it out
: "${RECOVERY:=40}"            # seconds that are watched after the overload
: "${QUIET:=10}"               # quiet organisations
: "${QUIET_RATE:=20}"          # requests a second of each of them; the loud one has a hundred times as many
: "${LOUD_CONNECTIONS:=400}"
: "${RUNS:=5}"                 # of the comparison with the loud one; the median counts, 0 leaves it out

for tool in wrk awk; do
  command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
. "$here/server.sh"
on_server=(); on_load=()
if command -v taskset >/dev/null && [ "$(nproc)" -ge 2 ]; then
  on_server=(taskset -c 0); on_load=(taskset -c 1)
fi

. "$here/no-limits.sh"
# What is measured is the overload and not the bound for one person.
export MAINSTAY_ASSISTANT__MAX_GENERATIONS_PER_PERSON=10000 MAINSTAY_ASSISTANT__MAX_GENERATIONS=100000
export MAINSTAY_PROVIDERS__ORDER=offline MAINSTAY_PROVIDERS__OFFLINE__WORD_MS=0

start_server "${on_server[@]}"
for number in $(seq "$USERS"); do echo "person$number@bench.example"; done >"$scratch/emails"
(cd "$scratch" && "$BINARY" user import emails >"$scratch/import.log")
(cd "$scratch" && "$BINARY" plan limits free --messages-per-day none --messages-per-month none >"$scratch/plans.log")
(cd "$scratch" && "$BINARY" token --email-file emails --seconds 7200) >"$scratch/tokens"

route="POST /v1/messages"; if [ "$WHAT" = list ]; then route="GET /v1/conversations"; fi

scrape() { curl -fsS "$ours/metrics" >"$1"; }

# p99 FROM TO ROUTE: milliseconds, of answers between two scrapes, out of the server's own histogram (refusals not in it).
p99() {
  awk -v method="${3%% *}" -v route="${3#* }" '
    index($0, "mainstay_http_request_duration_seconds_bucket{") == 1 &&
    index($0, "method=\"" method "\"") && index($0, "route=\"" route "\"") {
      match($0, /le="[^"]*"/); le = substr($0, RSTART + 4, RLENGTH - 5)
      if (FNR == NR) before[le] = $NF; else { order[++n] = le; after[le] = $NF }
    }
    END {
      total = after["+Inf"] - before["+Inf"]; if (total <= 0) { print "-"; exit }
      low = 0; below = 0
      for (i = 1; i <= n; i++) {
        count = after[order[i]] - before[order[i]]
        if (count >= 0.99 * total) {
          if (order[i] == "+Inf") { printf "%.1f", low * 1000; exit }
          printf "%.1f", (low + (order[i] - low) * (0.99 * total - below) / (count - below)) * 1000; exit
        }
        low = order[i]; below = count
      }
    }' "$1" "$2"
}

# metric FILE NAME: the sum over its labels.
metric() { awk -v name="$2" 'index($0, name) == 1 { sum += $NF } END { printf "%.2f", sum }' "$1"; }

# paced SECONDS CONNECTIONS EVERY_MS TOKENS [PATHS]: the RESULT of bench/load/paced.lua.
paced() {
  EVERY=$3 TOKENS=$4 PATHS=${5:-} WHAT=$WHAT "${on_load[@]}" wrk -t1 "-c$2" "-d${1}s" --timeout 10s \
    -s "$here/load/paced.lua" "$ours" 2>&1 | sed -n 's/^RESULT //p'
}

# every CONNECTIONS RATE: milliseconds between an answer and the next request of one connection.
every() { awk -v connections="$1" -v rate="$2" 'BEGIN { printf "%d", connections * 1000 / rate }'; }

echo "$(nproc) cores, Linux $(uname -r), ${DATABASE_URL%%:*}, $USERS organisations, $WHAT, $DURATION s each; server and load generator on a core each"
echo
echo "| load | sent/s | 2xx/s | 503/s | without Retry-After | other | socket | p99 ms | limit |"
echo "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
# row NAME CONNECTIONS EVERY: prints a line; leaves $fine and $tail.
row() {
  scrape "$scratch/before"
  read -r sent fine refused untold other sockets < <(paced "$DURATION" "$2" "$3" "$scratch/tokens")
  scrape "$scratch/after"
  tail=$(p99 "$scratch/before" "$scratch/after" "$route")
  echo "| $1 | $sent | $fine | $refused | $untold | $other | $sockets | $tail | $(metric "$scratch/after" mainstay_overload_limit) |"
}
# recover NORMAL: half of the peak from here on; leaves $bad, the last second that was not well. Well is a second without a
# refusal, with answers, and within twice the p99 of before.
recover() {
  paced "$RECOVERY" "$CROWD" "$(every "$CROWD" $((peak / 2)))" "$scratch/tokens" >"$scratch/recovery" &
  local half=$! second gone now
  bad=0
  scrape "$scratch/before"
  for second in $(seq $((RECOVERY - 2))); do
    sleep 1
    scrape "$scratch/after"
    gone=$(awk -v one="$(metric "$scratch/before" mainstay_overload_refused_total)" -v two="$(metric "$scratch/after" mainstay_overload_refused_total)" 'BEGIN { print two - one }')
    now=$(p99 "$scratch/before" "$scratch/after" "$route")
    if awk -v gone="$gone" -v now="$now" -v normal="$1" 'BEGIN { exit !(gone > 0 || now == "-" || now + 0 > 2 * normal) }'; then bad=$second; fi
    mv "$scratch/after" "$scratch/before"
  done
  wait "$half" || true
}
# median COLUMN FILE
median() { cut -d' ' -f"$1" "$2" | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

paced "$WARM_UP" 4 0 "$scratch/tokens" >/dev/null
paced "$FILL" "$CONNECTIONS" 0 "$scratch/tokens" >/dev/null
row "peak ($CONNECTIONS connections)" "$CONNECTIONS" 0
for run in $(seq "$OVERLOADS"); do
  peak=$fine; normal=$tail
  paced "$WARM_UP" "$CROWD" "$(every "$CROWD" $((peak * 2)))" "$scratch/tokens" >/dev/null
  row "twice the peak offered" "$CROWD" "$(every "$CROWD" $((peak * 2)))"
  crowd=$fine; crowd_tail=$tail
  recover "$normal"
  row "peak again" "$CONNECTIONS" 0
  # The file has grown meanwhile, which makes every turn dearer, and the machine may have become slower or faster: the mean
  # of before and after is what could be done.
  awk -v fine="$crowd" -v before="$peak" -v after="$fine" -v tail="$crowd_tail" -v normal="$normal" -v again="$tail" -v bad="$bad" \
    'BEGIN { printf "%.0f %.1f %d\n", 200 * fine / (before + after), 2 * tail / (normal + again), bad }' >>"$scratch/overloads"
done
if [ "$OVERLOADS" -gt 0 ]; then
  echo
  echo "| run | goodput, % of the peak (bar: 90) | p99 of the accepted, times that at the peak (bar: 3) | all well after s (bar: 30) |"
  echo "|---|---:|---:|---:|"
  awk '{ print "| " NR " | " $1 " | " $2 " | " $3 " |" }' "$scratch/overloads"
  echo "| median | $(median 1 "$scratch/overloads") | $(median 2 "$scratch/overloads") | $(median 3 "$scratch/overloads") |"
fi
if [ "$RUNS" -eq 0 ]; then exit 0; fi

# One loud organisation beside quiet ones. The quiet ones write into conversations of their own, which is another route of
# the same work, so that the server's histograms tell the two apart.
head -n "$QUIET" "$scratch/tokens" >"$scratch/quiet"
sed -n "$((QUIET + 1))p" "$scratch/tokens" >"$scratch/loud"
while read -r token; do
  id=$(curl -fsS -X POST "$ours/v1/conversations" -H "Authorization: Bearer $token" -H "Content-Type: application/json" -d '{"title":"Bench"}' |
    sed -n 's/.*"id":"\([^"]*\)".*/\1/p')
  echo "/v1/conversations/$id/messages"
done <"$scratch/quiet" >"$scratch/paths"
quiet_route="POST /v1/conversations/{id}/messages"; if [ "$WHAT" = list ]; then quiet_route="GET /v1/conversations/{id}/messages"; fi
quiet_every=$(every $((QUIET * 2)) $((QUIET * QUIET_RATE)))
quietly() { paced "$1" $((QUIET * 2)) "$quiet_every" "$scratch/quiet" "$scratch/paths"; }
echo
echo "| run | quiet alone p99 ms | beside the loud one | ratio | loud: sent/s, 2xx/s, 503/s | quiet 2xx/s | share |"
echo "|---|---:|---:|---:|---|---:|---:|"
quietly "$WARM_UP" >/dev/null
for run in $(seq "$RUNS"); do
  scrape "$scratch/before"; quietly "$DURATION" >"$scratch/alone"; scrape "$scratch/after"
  alone=$(p99 "$scratch/before" "$scratch/after" "$quiet_route")
  paced $((WARM_UP + DURATION + 2)) "$LOUD_CONNECTIONS" "$(every "$LOUD_CONNECTIONS" $((QUIET_RATE * 100)))" "$scratch/loud" >"$scratch/noise" &
  noise=$!
  quietly "$WARM_UP" >/dev/null
  scrape "$scratch/before"; quietly "$DURATION" >"$scratch/beside"; scrape "$scratch/after"
  beside=$(p99 "$scratch/before" "$scratch/after" "$quiet_route")
  wait "$noise" || true
  ratio=$(awk -v one="$alone" -v two="$beside" 'BEGIN { printf "%.2f", (one > 0) ? two / one : 0 }')
  echo "$ratio" >>"$scratch/ratios"
  echo "| $run | $alone | $beside | $ratio | $(cut -d' ' -f1-3 "$scratch/noise") | $(cut -d' ' -f2 "$scratch/beside") | $(metric "$scratch/after" mainstay_overload_tenant_limit) |"
done
echo
echo "median ratio: $(median 1 "$scratch/ratios") (bar: below 2)"
