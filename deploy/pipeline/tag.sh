#!/usr/bin/env bash
# tag.sh DIGEST: with DEPLOY_TAG=yes, marks the commit that was deployed with a tag that names the environment and the moment.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ "${DEPLOY_TAG:-no}" = yes ] || exit 0
need DEPLOY_ENVIRONMENT DEPLOY_COMMIT
name="$DEPLOY_ENVIRONMENT-$(date -u +%Y%m%d-%H%M%S)"
git tag --annotate --message "Deployed to $DEPLOY_ENVIRONMENT: sha256:$1" "$name" "$DEPLOY_COMMIT"
[ -z "${DEPLOY_TAG_REMOTE:-}" ] || git push "$DEPLOY_TAG_REMOTE" "refs/tags/$name"
say "tagged $DEPLOY_COMMIT as $name"
