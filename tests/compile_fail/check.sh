#!/bin/bash
# check.sh SOURCE COMPILER FLAGS...: see CMakeLists.txt.
set -euo pipefail

source=$1
shift
command=("$@" -Wall -Wextra -Werror -fsyntax-only "$source")

mapfile -t expected < <(sed -n 's|^ *// expect: ||p' "$source")
((${#expected[@]} > 0)) || { echo "$source has no line '// expect: REGEX'"; exit 1; }

# A case that fails for another reason than the one it is about would prove nothing.
if ! "${command[@]}"; then
  echo "$source does not compile without SYNFP_MUST_FAIL"
  exit 1
fi

failed=0
for ((k = 1; k <= ${#expected[@]}; ++k)); do
  regex=${expected[k - 1]}
  if output=$("${command[@]}" -DSYNFP_MUST_FAIL=$k 2>&1); then
    echo "$source compiles with SYNFP_MUST_FAIL=$k; expected: $regex"
    failed=1
  # Only the compiler's own sentences, not the source lines that it quotes.
  elif ! grep -E '(error|note): ' <<<"$output" | grep -Eq -- "$regex"; then
    echo "$source with SYNFP_MUST_FAIL=$k fails, but not with: $regex"
    echo "$output"
    failed=1
  fi
done
exit $failed
