#!/usr/bin/env bash
# How many jobs a second one node does, and how soon it begins one. See README.md.
#   bench/jobs.sh                                          SQLite in a temporary directory
#   DATABASE_URL=postgres://owner@127.0.0.1/empty bench/jobs.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${DATABASE_URL:=}"   # an empty PostgreSQL database; SQLite when not given
: "${JOBS:=200000}"     # that do nothing, promised first and then done
: "${RATE:=1000}"       # jobs a second, for the time from promise to beginning
: "${DURATION:=10}"     # seconds of that
: "${ROUNDS:=3}"

cargo build --release --locked -p mainstay-jobs --example throughput
program=$(realpath "${CARGO_TARGET_DIR:-target}/release/examples/throughput")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo "$(nproc) cores, $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | xargs)"
for round in $(seq "$ROUNDS"); do
  "$program" "${DATABASE_URL:-sqlite:$scratch/$round.db}" "$JOBS" "$RATE" "$DURATION"
done
