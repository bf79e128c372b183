#!/usr/bin/env bash
# passed.sh STAGE: lets DEPLOY_PROGRAM itself write into DEPLOY_EVIDENCE that it has passed a stage: tests, staging. Both files
# go on together: what is promoted is this program, and nothing that is built again.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need DEPLOY_PROGRAM DEPLOY_EVIDENCE
"$DEPLOY_PROGRAM" preflight --passed "${1:?which stage}" --evidence "$DEPLOY_EVIDENCE" >&2
