# shellcheck shell=bash
# Processes on this machine, for trying the pipeline and for tests. In LOCAL_ROOT: `environment` with the settings, a line
# NAME=VALUE for each; `releases/DIGEST/mainstay`; `nodes/PORT` with the number of the process and its log. LOCAL_PORTS are
# the nodes.

target_check() {
  need LOCAL_ROOT LOCAL_PORTS
  [ -r "$LOCAL_ROOT/environment" ] || refuse variables "$LOCAL_ROOT/environment cannot be read"
}

target_bring() {
  local folder="$LOCAL_ROOT/releases/$2"
  [ -e "$folder/mainstay" ] && return
  mkdir -p "$folder"
  cp -- "$1" "$folder/.mainstay.new"
  mv -- "$folder/.mainstay.new" "$folder/mainstay"
}

target_evidence() { realpath -- "$1"; }

# with_settings WORD...: the words as a command, in place of this shell, with the settings of the installation and no others.
with_settings() {
  local name settings
  while IFS='=' read -r name _; do
    case "$name" in MAINSTAY_* | DATABASE_URL | REDIS_URL | PORT) unset "$name" ;; esac
  done < <(env)
  mapfile -t settings < <(grep -v '^ *\(#\|$\)' "$LOCAL_ROOT/environment")
  cd "$LOCAL_ROOT" && exec env "${settings[@]}" "$@"
}

target_run() {
  local digest=$1
  shift
  (with_settings "$LOCAL_ROOT/releases/$digest/mainstay" "$@")
}

read_link() { basename -- "$(readlink "$LOCAL_ROOT/$1" || true)"; }
target_current() { read_link current; }
target_previous() { read_link previous; }
target_nodes() { xargs -n 1 <<<"$LOCAL_PORTS"; }
target_url() { printf 'http://127.0.0.1:%s\n' "$1"; }

# Whether a process runs. One that has ended and was not waited for by its parent runs no more.
runs() { [ -n "$1" ] && [ -r "/proc/$1/stat" ] && ! grep -q '^[0-9]* (.*) Z' "/proc/$1/stat" 2>/dev/null; }

stop() {
  local process
  process=$(cat "$1/process" 2>/dev/null || true)
  runs "$process" || return 0
  kill -TERM "$process"
  local waited=0
  while runs "$process"; do
    [ "$waited" -lt "$((${LOCAL_STOP_SECONDS:-30} * 10))" ] || { kill -KILL "$process" && return; }
    sleep 0.1
    waited=$((waited + 1))
  done
}

target_switch() {
  local folder="$LOCAL_ROOT/nodes/$1"
  mkdir -p "$folder"
  stop "$folder"
  (
    trap - INT TERM
    with_settings PORT="$1" setsid "$LOCAL_ROOT/releases/$2/mainstay" serve
  ) >>"$folder/log" 2>&1 </dev/null &
  echo "$!" >"$folder/process"
  disown "$!"
}

target_keep() {
  local current
  current=$(target_current)
  [ "$current" = "$1" ] && return
  [ -z "$current" ] || ln -sfn "releases/$current" "$LOCAL_ROOT/previous"
  ln -sfn "releases/$1" "$LOCAL_ROOT/current"
}
