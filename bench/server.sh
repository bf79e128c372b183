# Sourced: the server that is measured. Builds it unless BINARY names one, makes the folder $scratch that goes with the
# script, as the server does, and names what it is reached by, $ours. SQLite in that folder unless DATABASE_URL is given.
command -v curl >/dev/null || { echo "curl is not installed" >&2; exit 1; }
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

# The log does not compete for the disk.
export DATABASE_URL="${DATABASE_URL:-sqlite:$scratch/mainstay.db}"
export MAINSTAY_HTTP__PORT="$PORT" MAINSTAY_LOG__LEVEL=warn MAINSTAY_DATABASE__MIGRATE_ON_START=true
ours="http://127.0.0.1:$PORT"
# What Python makes of its modules is not left in the tree.
export PYTHONDONTWRITEBYTECODE=1

# start_server [COMMAND...]: starts it, by a command when one is given, and waits until it is ready.
start_server() {
  (cd "$scratch" && exec "$@" "$BINARY" serve) >"$scratch/log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    if curl -fsS -o "$scratch/ready" "$ours/readyz" 2>/dev/null; then return; fi
    if ! kill -0 "$server" 2>/dev/null; then break; fi
    sleep 0.1
  done
  echo "the server was not ready within 30 s:" >&2
  tail -n 20 "$scratch/log" >&2
  exit 1
}
