#!/bin/bash
# reference.sh DOXYGEN SOURCE VERSION OUTPUT: the reference of the headers is made without a warning, and every name that its
# first page sends readers to is there.
set -euo pipefail
doxygen=$1 source=$2 version=$3 output=$4

rm -rf "$output"
mkdir -p "$output"
cd "$source"
SYNFP_VERSION=$version SYNFP_REFERENCE=$output "$doxygen" docs/Doxyfile || { echo "mend the comments above"; exit 1; }

names=$(grep '^|' docs/reference.md | grep -oE '\bsynfp(::[a-z_0-9]+)+(\(\))?')
((${#names} > 0)) || { echo "docs/reference.md names nothing"; exit 1; }
failed=0
for name in $names; do
  grep -qF "\">$name</a>" "$output/html/index.html" || { echo "docs/reference.md: there is no $name"; failed=1; }
done
exit $failed
