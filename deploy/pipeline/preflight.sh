#!/usr/bin/env bash
# Whether DEPLOY_PROGRAM may be deployed: it is asked itself, with the settings of the installation. It changes nothing there
# but for the file of the program, which is brought to where it will run.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need DEPLOY_ENVIRONMENT DEPLOY_PROGRAM DEPLOY_EVIDENCE
[ -x "$DEPLOY_PROGRAM" ] || refuse variables "DEPLOY_PROGRAM is $DEPLOY_PROGRAM, which is no program"
[ -r "$DEPLOY_EVIDENCE" ] || refuse evidence "$DEPLOY_EVIDENCE cannot be read: this build was never tested"
read_target

digest=$(digest_of "$DEPLOY_PROGRAM")
target_bring "$DEPLOY_PROGRAM" "$digest"
read -ra needs <<<"${DEPLOY_NEEDS:-tests staging}"
read -ra require <<<"${DEPLOY_REQUIRE:-}"
words=(preflight --evidence "$(target_evidence "$DEPLOY_EVIDENCE")" --needs "${needs[@]}")
[ "${#require[@]}" -eq 0 ] || words+=(--require "${require[@]}")
[ -z "${DEPLOY_PROFILE:-}" ] || words+=(--profile "$DEPLOY_PROFILE")
[ "${DEPLOY_MIGRATIONS:-apply}" = apply ] || words+=(--migrated)
[ "${DEPLOY_ACCEPT_RISK:-no}" = no ] || words+=(--accept-risk)
target_run "$digest" "${words[@]}" >&2 || refuse preflight "see above; nothing was changed"
