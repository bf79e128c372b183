#!/usr/bin/env bash
# switch.sh DIGEST: puts a program in place, node after node, and looks at each from outside before it goes on. When one does
# not hold, those that were switched go back to what ran before, and the exit code is 1; it is 3 when that does not hold either.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

read_target
digest=$1
before=$(target_current)
switched=()

back() {
  trap - INT TERM
  say "ROLLBACK ${1}"
  if [ -z "$before" ]; then
    say "there is nothing to go back to: this was the first deployment"
    exit 3
  fi
  local node code=1
  for node in "${switched[@]}"; do
    target_switch "$node" "$before" && smoke "$node" "$before" || code=3
  done
  if [ "$code" -eq 1 ]; then
    say "what ran before serves again: $before"
  else
    say "what ran before does not hold either"
  fi
  exit "$code"
}
trap 'back "it was interrupted"' INT TERM

mapfile -t nodes < <(target_nodes)
for node in "${nodes[@]}"; do
  say "$node: ${before:-nothing} -> $digest"
  switched+=("$node")
  target_switch "$node" "$digest" || back "$node did not start"
  smoke "$node" "$digest" || back "the smoke check of $node failed"
done
trap - INT TERM
target_keep "$digest"
