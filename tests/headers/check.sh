#!/bin/bash
# check.sh COMPILER INCLUDE_DIR FLAGS... -- HEADERS...
# Preprocesses each header and fails if
#   it reaches a file that layers.txt forbids to it, or
#   it leaves a macro behind whose name does not begin with SYNFP_.
set -euo pipefail

compiler=$1 include_dir=$2
shift 2
flags=(-std=c++20)
while [[ $1 != -- ]]; do
  flags+=("$1")
  shift
done
shift

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0

check_layers() {  # HEADER
  local header=$1 included rule forbidden hits
  # stdc-predef.h: the compiler's own, in every translation unit.
  included=$(tr ' \\' '\n\n' <"$scratch/depends" |
    awk -v source="$scratch/header.cpp" -v self="$include_dir/$header" \
      '/^\// && $0 != source && $0 != self && !/stdc-predef/')
  while read -r rule forbidden; do
    [[ -z $rule || $rule == '#'* ]] && continue
    [[ ${header#synfp/} =~ $rule ]] || continue
    if hits=$(grep -E -- "$forbidden" <<<"$included") && [[ -n $hits ]]; then
      echo "$header must not reach:"
      sed 's/^/  /' <<<"$hits"
      failed=1
    fi
  done <"$(dirname "$0")/layers.txt"
}

check_macros() {  # HEADER
  local leaks
  leaks=$(awk -v own="$include_dir/synfp/" '
    /^# [0-9]+ "/ { split($0, part, "\""); ours = index(part[2], own) == 1 }
    ours && /^#define / { name = $2; sub(/\(.*/, "", name); defined[name] = 1 }
    ours && /^#undef / { delete defined[$2] }
    END { for (name in defined) if (name !~ /^SYNFP_/) print "  " name }' "$scratch/preprocessed")
  if [[ -n $leaks ]]; then
    echo "$1 leaks macros:"
    echo "$leaks"
    failed=1
  fi
}

(($# > 0)) || { echo "no headers"; exit 1; }
for header in "$@"; do
  echo "#include <$header>" >"$scratch/header.cpp"
  # -dD keeps the directives and says which file each came from.
  "$compiler" "${flags[@]}" -dD -E -MD -MF "$scratch/depends" "$scratch/header.cpp" >"$scratch/preprocessed"
  check_layers "$header"
  check_macros "$header"
done
exit $failed
