# shellcheck shell=bash
# A Deployment as deploy/kubernetes has it, by kubectl. KUBERNETES_IMAGE is the image that holds DEPLOY_PROGRAM, named by its
# digest; without it the one that image.sh has noted beside the program. KUBERNETES_URL is where the service is asked. The digest of the program is kept as an annotation of the Deployment,
# with the image that holds it, so that both can be gone back to.

readonly NAMESPACE="${KUBERNETES_NAMESPACE:-mainstay}"

cluster() { kubectl --namespace "$NAMESPACE" "$@"; }
annotation() { cluster get deployment mainstay --output "jsonpath={.metadata.annotations.mainstay\.deploy/$1}" 2>/dev/null || true; }

# The image of a program that is, or was, in place here.
image_of() {
  if [ "$1" = "$(digest_of "${DEPLOY_PROGRAM:-/dev/null}")" ] && [ -n "${KUBERNETES_IMAGE:-}" ]; then
    printf '%s\n' "$KUBERNETES_IMAGE"
  elif [ "$1" = "$(annotation digest)" ]; then
    annotation image
  elif [ "$1" = "$(annotation previous-digest)" ]; then
    annotation previous-image
  else
    refuse kubernetes "no image is known that holds $1"
  fi
}

target_check() {
  if [ -z "${KUBERNETES_IMAGE:-}" ] && [ -n "${DEPLOY_PROGRAM:-}" ]; then
    KUBERNETES_IMAGE=$(cat "$(dirname "$DEPLOY_PROGRAM")/image" 2>/dev/null || true)
  fi
  need KUBERNETES_URL
  case "${KUBERNETES_IMAGE:-}" in
  "" | *@sha256:*) ;;
  *) refuse variables "KUBERNETES_IMAGE names no digest, but a tag that can move" ;;
  esac
  cluster get serviceaccount mainstay >/dev/null || refuse services "the cluster does not answer, or $NAMESPACE has no mainstay"
}

# The image brings the program.
target_bring() { need KUBERNETES_IMAGE; }

target_evidence() {
  cluster create configmap mainstay-evidence --from-file=evidence="$1" --dry-run=client --output yaml |
    cluster apply --filename - >&2
  printf '/evidence/evidence\n'
}

# A job with the settings and secrets of the installation; its words are JSON strings.
target_run() {
  local image name words state code=1
  image=$(image_of "$1")
  shift
  name="mainstay-command-$(date +%s)-$RANDOM"
  words=$(printf '%s\0' "$@" | python3 -c 'import json, sys; print(json.dumps(sys.stdin.read().split("\0")[:-1]))')
  IMAGE=$image NAME=$name WORDS=$words python3 -c '
import os, sys
text = open(sys.argv[1]).read()
for name in ("IMAGE", "NAME", "WORDS"):
    text = text.replace("@" + name + "@", os.environ[name])
print(text)' "$PIPELINE/../kubernetes/command.yaml" | cluster apply --filename - >&2
  # As long as the job may take: activeDeadlineSeconds, and some to spare.
  for _ in $(seq 480); do
    state=$(cluster get "job/$name" --output 'jsonpath={.status.succeeded}/{.status.failed}')
    case "$state" in
    1/*) code=0 && break ;;
    */[1-9]*) break ;;
    esac
    sleep 2
  done
  cluster logs "job/$name" || true
  return "$code"
}

target_current() { annotation digest; }
target_previous() { annotation previous-digest; }
# The cluster goes pod by pod itself: maxUnavailable 0, by readiness.
target_nodes() { printf 'deployment/mainstay\n'; }
target_url() { printf '%s\n' "$KUBERNETES_URL"; }

target_switch() {
  local image
  image=$(image_of "$2") || return 1
  cluster set image deployment/mainstay "mainstay=$image" >&2 || return 1
  cluster rollout status deployment/mainstay --timeout="${KUBERNETES_ROLLOUT_TIMEOUT:-300s}" >&2
}

target_keep() {
  local current image
  current=$(annotation digest)
  [ "$current" = "$1" ] && return
  image=$(image_of "$1")
  cluster annotate --overwrite deployment/mainstay "mainstay.deploy/previous-digest=$current" \
    "mainstay.deploy/previous-image=$(annotation image)" "mainstay.deploy/digest=$1" "mainstay.deploy/image=$image" >&2
}
