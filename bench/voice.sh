#!/usr/bin/env bash
# What of a spoken turn is the server's own, and what voice sessions take of its memory. Whoever makes text, replies and speech
# is a stand-in that answers at once, so that all of the time is ours. See README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${VOICE_TURNS:=5}"          # of each session that speaks

ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
echo "$(nproc) cores, $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs)"
cargo build --release --locked --bin mainstay
run() {
  VOICE_TURNS="$VOICE_TURNS" VOICE_IDLE="$1" VOICE_TALKING="$2" cargo test --release --locked -p mainstay-server --test it -- \
    --nocapture voice::load:: | grep -E '^(memory|[0-9]+ speak)|panicked|test result'
}
echo "== 100 sessions that speak"
run 0 100
echo "== 1,000 that are idle and 200 that speak"
run 1000 200
