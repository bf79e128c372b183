#!/usr/bin/env bash
# image.sh: puts DEPLOY_PROGRAM, as it is, into an image, sends it to IMAGE_REPOSITORY, and notes the image by its digest in a
# file `image` beside the program. Needs buildah.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need DEPLOY_PROGRAM IMAGE_REPOSITORY
folder=$(cd "$(dirname "$DEPLOY_PROGRAM")" && pwd)
digest=$(digest_of "$DEPLOY_PROGRAM")
read_build "$DEPLOY_PROGRAM"
name="$IMAGE_REPOSITORY:${digest:0:12}"
buildah build --format docker --file "$PIPELINE/../container/Containerfile" --build-context "build=$folder" \
  --build-arg MAINSTAY_COMMIT="$BUILD_COMMIT" --tag "$name" "$PIPELINE/../.." >&2
buildah push --digestfile "$folder/image.digest" "$name" "docker://$name" >&2
printf '%s@%s\n' "$IMAGE_REPOSITORY" "$(cat "$folder/image.digest")" >"$folder/image"
say "the image is $(cat "$folder/image")"
