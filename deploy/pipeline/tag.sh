#!/usr/bin/env bash
# tag.sh DIGEST COMMIT: with DEPLOY_TAG=yes, marks the commit that was deployed with a tag that names the environment and the moment.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ "${DEPLOY_TAG:-no}" = yes ] || exit 0
need DEPLOY_ENVIRONMENT
name="$DEPLOY_ENVIRONMENT-$(date -u +%Y%m%d-%H%M%S)"
export GIT_COMMITTER_NAME="${DEPLOY_BY:-pipeline}" GIT_COMMITTER_EMAIL="${DEPLOY_TAG_EMAIL:-pipeline@localhost}"
git tag --annotate --message "Deployed to $DEPLOY_ENVIRONMENT: sha256:$1" "$name" "$2"
[ -z "${DEPLOY_TAG_REMOTE:-}" ] || git push "$DEPLOY_TAG_REMOTE" "refs/tags/$name"
say "tagged $2 as $name"
