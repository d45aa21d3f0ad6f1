#!/usr/bin/env bash
# get_program.sh auto|no COMMANDS PACKAGE VARIABLE: a program that a part of the project uses. Never fails: without it
# that part says so and the rest goes on.
#   auto  install the package if none of the commands (separated by commas) is there and this account may do so
#         without being asked for a password
#   no    leave the machine alone
#   VARIABLE is the make variable that says which of the two
set -uo pipefail
choice=${1:-auto} commands=${2:?commands} package=${3:?package} variable=${4:?variable}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

present() {
  local command
  for command in ${commands//,/ }; do command -v "$command" >/dev/null && return 0; done
  return 1
}

case $choice in
  auto)
    if present || ! command -v apt-get >/dev/null || ! as_root true 2>/dev/null; then exit 0; fi
    echo "$package: installing it with apt (\`make $variable=no\` goes without)"
    log=$(mktemp)
    if ! { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install --yes --no-install-recommends "$package"; } >"$log" 2>&1 </dev/null; then
      echo "$package: apt could not install it ($(grep -m 1 '^E:' "$log" || tail -n 1 "$log")); going on without it"
    fi
    rm -f "$log"
    ;;
esac
exit 0
