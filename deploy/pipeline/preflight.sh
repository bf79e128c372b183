#!/usr/bin/env bash
# Whether DEPLOY_PROGRAM may be deployed: it is asked itself, with the settings of the installation. It changes nothing there
# but for the file of the program, which is brought to where it will run.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need DEPLOY_ENVIRONMENT DEPLOY_PROGRAM DEPLOY_EVIDENCE
[ -x "$DEPLOY_PROGRAM" ] || refuse variables "DEPLOY_PROGRAM is $DEPLOY_PROGRAM, which is no program"
[ -r "$DEPLOY_EVIDENCE" ] || refuse evidence "$DEPLOY_EVIDENCE cannot be read: this build was never tested"
read_target

digest=$(digest_of "$DEPLOY_PROGRAM")
target_bring "$DEPLOY_PROGRAM" "$digest"
words=(preflight --evidence "$(target_evidence "$DEPLOY_EVIDENCE")" --needs ${DEPLOY_NEEDS:-tests staging})
[ -z "${DEPLOY_REQUIRE:-}" ] || words+=(--require $DEPLOY_REQUIRE)
[ -z "${DEPLOY_PROFILE:-}" ] || words+=(--profile "$DEPLOY_PROFILE")
[ "${DEPLOY_MIGRATIONS:-apply}" = apply ] || words+=(--migrated)
[ "${DEPLOY_ACCEPT_RISK:-no}" = no ] || words+=(--accept-risk)
target_run "$digest" "${words[@]}" >&2 || refuse preflight "see above; nothing was changed"
