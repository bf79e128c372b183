# shellcheck shell=bash
# Hosts with deploy/systemd/mainstay.service, over ssh. SYSTEMD_HOSTS are the nodes, as ssh knows them; whoever signs in there
# may use sudo without a password. Programs are in /opt/mainstay/releases/DIGEST, and /opt/mainstay/current is the one that
# the unit starts. SYSTEMD_URL is the address of one node as this machine reaches it, with %s for the host.

readonly RELEASES=/opt/mainstay/releases

on() {
  local host=$1
  shift
  # Each word arrives as one word.
  ssh -o BatchMode=yes -o ConnectTimeout=10 "$host" "$(printf '%q ' "$@")"
}

first_host() { printf '%s\n' "${SYSTEMD_HOSTS%% *}"; }

target_check() {
  need SYSTEMD_HOSTS SYSTEMD_URL
  local host
  for host in $SYSTEMD_HOSTS; do
    on "$host" sudo -n true || refuse services "$host cannot be reached by ssh, or sudo asks for a password there"
    on "$host" test -r /etc/systemd/system/mainstay.service || refuse services "$host has no mainstay.service"
  done
}

target_bring() {
  local host
  for host in $SYSTEMD_HOSTS; do
    on "$host" test -e "$RELEASES/$2/mainstay" && continue
    on "$host" sudo mkdir -p "$RELEASES/$2"
    on "$host" sudo install -m 0755 /dev/stdin "$RELEASES/$2/.mainstay.new" <"$1"
    on "$host" sudo mv "$RELEASES/$2/.mainstay.new" "$RELEASES/$2/mainstay"
  done
}

target_evidence() {
  on "$(first_host)" sudo install -m 0644 -D /dev/stdin /opt/mainstay/evidence <"$1"
  printf '/opt/mainstay/evidence\n'
}

# With the settings, the secrets and the user of the service.
target_run() {
  local digest=$1 unit="mainstay-command-$$-$RANDOM"
  shift
  on "$(first_host)" sudo systemd-run --quiet --pipe --wait --collect --unit="$unit" \
    --property=User=mainstay --property=Group=mainstay --property=EnvironmentFile=/etc/mainstay/environment \
    --property=LoadCredential=database_url:/etc/mainstay/secrets/database_url \
    --property=LoadCredential=key_ring:/etc/mainstay/secrets/key_ring \
    --setenv="MAINSTAY_DATABASE__URL_FILE=/run/credentials/$unit.service/database_url" \
    --setenv="MAINSTAY_KEYS__RING_FILE=/run/credentials/$unit.service/key_ring" \
    --property=StateDirectory=mainstay --property=WorkingDirectory=/var/lib/mainstay --property=LimitNOFILE=65536 \
    -- "$RELEASES/$digest/mainstay" "$@" </dev/null
}

link_of() {
  local target
  target=$(on "$(first_host)" readlink "/opt/mainstay/$1") || return 0
  basename -- "$(dirname -- "$target")"
}
target_current() { link_of current; }
target_previous() { link_of previous; }
target_nodes() { xargs -n 1 <<<"$SYSTEMD_HOSTS"; }
# shellcheck disable=SC2059
target_url() { printf "$SYSTEMD_URL\n" "${1#*@}"; }

target_switch() {
  # What the pipeline did not put there is gone back to all the same.
  on "$1" test -e /opt/mainstay/kept || { on "$1" readlink /opt/mainstay/current || true; } | xargs -r dirname |
    xargs -r basename | on "$1" sudo install -m 0644 /dev/stdin /opt/mainstay/kept
  on "$1" sudo ln -sfn "$RELEASES/$2/mainstay" /opt/mainstay/current
  # It drains what stops, and comes back when the new one has begun; the smoke check waits for it to be ready.
  on "$1" sudo systemctl restart mainstay.service
}

target_keep() {
  local host before
  for host in $SYSTEMD_HOSTS; do
    before=$(on "$host" cat /opt/mainstay/kept 2>/dev/null || true)
    [ "$before" = "$1" ] && continue
    [ -z "$before" ] || on "$host" sudo ln -sfn "$RELEASES/$before/mainstay" /opt/mainstay/previous
    printf '%s\n' "$1" | on "$host" sudo install -m 0644 /dev/stdin /opt/mainstay/kept
  done
}
