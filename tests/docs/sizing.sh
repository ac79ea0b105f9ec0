#!/bin/bash
# sizing.sh PAGE SYNFP: the tables in the page's section on tables (docs/guide/sizing.md) are what the program prints.
set -euo pipefail
page=$1 synfp=$2

diff <("$synfp" sizing | grep '^|') <(sed -n '/^## Tables/,/^## W/p' "$page" | grep '^|') ||
  { echo "$page, section Tables: put in what 'tools/synfp sizing' prints"; exit 1; }
