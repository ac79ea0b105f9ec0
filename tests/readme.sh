#!/bin/bash
# readme.sh README SYNFP: the tables in the README's section on sizing are what the program prints.
set -euo pipefail
readme=$1 synfp=$2

diff <("$synfp" sizing | grep '^|') <(sed -n '/^## Sizing/,/^## T/p' "$readme" | grep '^|') ||
  { echo "README.md, section Sizing: put in what 'tools/synfp sizing' prints"; exit 1; }
