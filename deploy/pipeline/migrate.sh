#!/usr/bin/env bash
# Applies pending migrations, by the program that is to be deployed. Preflight has refused those that do more than add; what
# runs meanwhile goes on with what was added. With DEPLOY_MIGRATIONS=refuse it only looks whether none is pending.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need DEPLOY_PROGRAM
read_target
digest=$(digest_of "$DEPLOY_PROGRAM")
if [ "${DEPLOY_MIGRATIONS:-apply}" = apply ]; then
  target_run "$digest" migrate up >&2
else
  say "migrations are not applied here: DEPLOY_MIGRATIONS is ${DEPLOY_MIGRATIONS}"
fi
