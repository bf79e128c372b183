# Hosts with deploy/systemd/mainstay.service, over ssh. SYSTEMD_HOSTS are the nodes, as ssh knows them; whoever signs in there
# may use sudo without a password. Programs are in /opt/mainstay/releases/DIGEST, and /opt/mainstay/current is the one that
# the unit starts. SYSTEMD_PORT is where each node listens; a node is asked at http://127.0.0.1:PORT through ssh unless
# SYSTEMD_URL says how else, with %s for the host.

readonly RELEASES=/opt/mainstay/releases

on() {
  local host=$1
  shift
  # Each word arrives as one word.
  ssh -o BatchMode=yes -o ConnectTimeout=10 "$host" "$(printf '%q ' "$@")"
}

first_host() { set -- $SYSTEMD_HOSTS && printf '%s\n' "$1"; }

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
  local digest=$1
  shift
  on "$(first_host)" sudo systemd-run --quiet --pipe --wait --collect --property=User=mainstay --property=Group=mainstay \
    --property=EnvironmentFile=/etc/mainstay/environment --property=LoadCredential=secrets:/etc/mainstay/secrets \
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
target_nodes() { printf '%s\n' $SYSTEMD_HOSTS; }
# shellcheck disable=SC2059
target_url() { printf "$SYSTEMD_URL\n" "${1#*@}"; }

target_switch() {
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
