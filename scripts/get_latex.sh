#!/usr/bin/env bash
# get_latex.sh auto|no|hint: LaTeX for the paper. Never fails: everything but the PDF works without it.
#   auto  install it if it is missing and this account may do so without being asked for a password
#   no    leave the machine alone
#   hint  one line on how to get it, if it is missing
set -uo pipefail
packages=(latexmk texlive-latex-base texlive-latex-recommended texlive-fonts-recommended texlive-latex-extra
  texlive-science lmodern poppler-utils)
styles=(article.cls microtype.sty booktabs.sty mathptmx.sty multirow.sty siunitx.sty lmodern.sty marginnote.sty)

complete() {
  command -v tectonic >/dev/null && return 0 # fetches styles by itself
  command -v latexmk >/dev/null && command -v kpsewhich >/dev/null && kpsewhich "${styles[@]}" >/dev/null
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

case ${1:-auto} in
  auto)
    if complete || ! command -v apt-get >/dev/null || ! as_root true 2>/dev/null; then exit 0; fi
    echo "LaTeX: installing it with apt (about 450 MB; \`make LATEX=no\` goes without)"
    log=$(mktemp)
    if ! { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install --yes --no-install-recommends "${packages[@]}"; } >"$log" 2>&1 </dev/null; then
      echo "LaTeX: apt could not install it ($(grep -m 1 '^E:' "$log" || tail -n 1 "$log")); going on without the PDF"
    fi
    rm -f "$log"
    ;;
  hint)
    complete || echo "No PDF was made: LaTeX is missing. Get it with \`sudo apt-get install ${packages[*]}\`, or install" \
      "tectonic (https://tectonic-typesetting.github.io), then run \`make\` again: only the PDF is left to do."
    ;;
esac
exit 0
