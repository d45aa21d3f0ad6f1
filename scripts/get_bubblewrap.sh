#!/usr/bin/env bash
# get_bubblewrap.sh auto|no: the sandbox for generated code (suite humaneval). Never fails: only that suite needs it.
#   auto  install it if it is missing and this account may do so without being asked for a password
#   no    leave the machine alone
set -uo pipefail

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

case ${1:-auto} in
  auto)
    if command -v bwrap >/dev/null || ! command -v apt-get >/dev/null || ! as_root true 2>/dev/null; then exit 0; fi
    echo "bubblewrap: installing it with apt (\`make SANDBOX=no\` goes without)"
    log=$(mktemp)
    if ! { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install --yes --no-install-recommends bubblewrap; } >"$log" 2>&1 </dev/null; then
      echo "bubblewrap: apt could not install it ($(grep -m 1 '^E:' "$log" || tail -n 1 "$log")); going on without it"
    fi
    rm -f "$log"
    ;;
esac
exit 0
