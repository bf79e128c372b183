# shellcheck shell=bash
# What the steps of the pipeline share. It is read by them, and does nothing by itself.

PIPELINE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly PIPELINE

say() { printf '%s\n' "$*" >&2; }

# refuse STEP REASON: ends the deployment before anything was changed.
refuse() {
  say "REFUSED  $1: $2"
  exit 2
}

# need NAME...: refuses when a variable has no value.
need() {
  local name
  for name in "$@"; do
    [ -n "${!name:-}" ] || refuse variables "$name is not set"
  done
}

digest_of() { sha256sum -- "$1" | cut -d ' ' -f 1; }

now() { date -u +%Y-%m-%dT%H:%M:%SZ; }

# Reads the adapter of DEPLOY_TARGET: where programs are brought, started and asked. Its functions:
#
#   target_check                refuses when something that it needs is not there
#   target_bring FILE DIGEST    brings a program to the target; nothing is started
#   target_run DIGEST WORD...   runs a command of that program, with the settings of the installation
#   target_evidence FILE        makes the evidence readable to that; prints where
#   target_current              prints the digest of the program that is in place; nothing when none is
#   target_previous             prints the digest of the one before
#   target_nodes                prints what is switched one after the other
#   target_url NODE             prints the address of a node
#   target_switch NODE DIGEST   stops what runs there, and starts that program
#   target_keep DIGEST          from now on that program is the one in place
read_target() {
  need DEPLOY_TARGET
  local file="$PIPELINE/targets/$DEPLOY_TARGET.sh"
  [ -f "$file" ] || refuse variables "DEPLOY_TARGET is '$DEPLOY_TARGET', which is none of: $(basename --multiple --suffix=.sh -- "$PIPELINE"/targets/*.sh | xargs)"
  # shellcheck source=/dev/null
  . "$file"
  target_check
}

# smoke NODE DIGEST: the outside view of a node. The program that looks is the one that is asked for.
smoke() {
  local url who=()
  url=$(target_url "$1")
  if [ -n "${DEPLOY_SMOKE_EMAIL:-}" ]; then
    who=(--email "$DEPLOY_SMOKE_EMAIL" --password-file "$DEPLOY_SMOKE_PASSWORD_FILE")
  fi
  say "smoke check of $1 at $url"
  "${DEPLOY_SMOKE_PROGRAM:-$DEPLOY_PROGRAM}" smoke --url "$url" --expect-digest "$2" \
    --timeout-seconds "${DEPLOY_SMOKE_SECONDS:-60}" "${who[@]}" >&2
}

# read_build WORD...: what a program says of itself. The words are how it is started.
read_build() {
  local name value
  BUILD_VERSION=unknown BUILD_COMMIT=unknown
  while read -r name value; do
    case "$name" in
    version) BUILD_VERSION=$value ;;
    commit) BUILD_COMMIT=$value ;;
    esac
  done < <("$@" deploy build)
}

# record BY_DIGEST DIGEST KIND OUTCOME REASON: writes the register, by a program that is known to run. It must not undo what
# was done: when it cannot be written, that is said.
record() {
  target_run "$1" deploy record --environment "$DEPLOY_ENVIRONMENT" --digest "$2" --kind "$3" --outcome "$4" --reason "$5" \
    --by "${DEPLOY_BY:-$(id -un)}" --of-version "$BUILD_VERSION" --commit "${DEPLOY_COMMIT:-$BUILD_COMMIT}" \
    --began "$DEPLOY_BEGAN" >&2 ||
    say "WARNING  the register could not be written: $3 of $2: $4, $5"
}
