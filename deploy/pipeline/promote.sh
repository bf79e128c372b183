#!/usr/bin/env bash
# promote.sh ENVIRONMENT: deploys exactly DEPLOY_PROGRAM: preflight, migrations, switch with a smoke check of each node, a
# rollback by itself when one fails, tag, record. docs/operations/deploy.md has the variables.
#
# Exit codes: 0 deployed; 1 it did not hold, and what ran before serves again; 2 refused, nothing was changed; 3 somebody must
# look now.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

export DEPLOY_ENVIRONMENT="${1:?which environment}"
DEPLOY_BEGAN=$(now)
export DEPLOY_BEGAN
"$PIPELINE/preflight.sh"
read_target
digest=$(digest_of "$DEPLOY_PROGRAM")
before=$(target_current)
read_build "$DEPLOY_PROGRAM"

if ! "$PIPELINE/migrate.sh"; then
  record "$digest" "$digest" deploy failed "the migrations could not be applied"
  say "FAILED   the migrations could not be applied; what ran before still runs"
  exit 1
fi

code=0
"$PIPELINE/switch.sh" "$digest" || code=$?
case "$code" in
0) record "$digest" "$digest" deploy succeeded "${DEPLOY_REASON:-}" ;;
1) record "$before" "$digest" deploy rolled_back "it did not hold: see the log of the pipeline" ;;
*) record "${before:-$digest}" "$digest" deploy failed "it did not hold, and what ran before does not serve" ;;
esac
if [ "$code" -eq 0 ]; then
  "$PIPELINE/tag.sh" "$digest" "${DEPLOY_COMMIT:-$BUILD_COMMIT}" || say "WARNING  the commit could not be tagged"
  say "DEPLOYED $digest to $DEPLOY_ENVIRONMENT"
fi
exit "$code"
