#!/usr/bin/env bash
# rollback.sh ENVIRONMENT: puts the program that ran before back in place, in one step. Migrations stay: what was added does
# the older program no harm.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

export DEPLOY_ENVIRONMENT="${1:?which environment}"
DEPLOY_BEGAN=$(now)
export DEPLOY_BEGAN
need DEPLOY_SMOKE_PROGRAM
read_target
previous=$(target_previous)
[ -n "$previous" ] || refuse rollback "no program was in place before the present one"
current=$(target_current)
read_build target_run "$previous"
code=0
"$PIPELINE/switch.sh" "$previous" || code=$?
case "$code" in
0) record "$previous" "$previous" rollback succeeded "${DEPLOY_REASON:-in place of $current}" ;;
1) record "$current" "$previous" rollback rolled_back "it did not hold: see the log of the pipeline" ;;
*) record "$previous" "$previous" rollback failed "neither program holds" ;;
esac
[ "$code" -ne 0 ] || say "ROLLED BACK to $previous"
exit "$code"
