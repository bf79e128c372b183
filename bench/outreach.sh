#!/usr/bin/env bash
# How many emails a second leave for a mail server that takes each at once, with every state on the disk, and what each stage
# costs. See README.md.
#   bench/outreach.sh                                              SQLite in a temporary directory
#   DATABASE_URL=postgres://owner@127.0.0.1/empty bench/outreach.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

: "${BINARY:=}"                # the program; built when not given
: "${SINK:=}"                  # the mail server; built when not given
: "${DATABASE_URL:=}"          # an empty PostgreSQL database whose login may make others; SQLite when not given
: "${PORT:=3132}"
: "${EMAILS:=20000}"
: "${ACCOUNTS:=20}"
: "${CAMPAIGNS:=12}"
: "${CONNECTIONS:=2}"          # of each account
: "${SIGNED:=ed25519}"         # how emails are signed: ed25519, rsa, or nothing at all when it is empty

. "$here/server.sh"
. "$here/no-limits.sh"
if [ -z "$SINK" ]; then
  cargo build --release --locked -p mainstay-testing --example smtp_sink
  SINK=${CARGO_TARGET_DIR:-target}/release/examples/smtp_sink
fi
key="$scratch/key.pem"
case "$SIGNED" in
  ed25519) openssl genpkey -algorithm ed25519 -out "$key" ;;
  rsa) openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$key" 2>"$scratch/openssl" ;;
  "") key="" ;;
  *) echo "SIGNED is ed25519, rsa or empty" >&2; exit 1 ;;
esac
# The mail server is on this machine, and example.com publishes no key.
export MAINSTAY_OUTREACH__ALLOW_PRIVATE=127.0.0.0/8 MAINSTAY_OUTREACH__CHECK_DOMAINS=false
start_server
SERVER_PROCESS=$server BASE="$ours" EMAILS=$EMAILS ACCOUNTS=$ACCOUNTS CAMPAIGNS=$CAMPAIGNS CONNECTIONS=$CONNECTIONS KEY=$key SINK=$SINK python3 "$here/load/outreach.py"
