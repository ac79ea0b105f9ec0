#!/bin/bash
# fetch.sh KERNEL DIRECTORY: unpacks the newest version of one of Debian's kernels (the cloud flavour: BPF, BTF and
# io_uring built in) into DIRECTORY and prints the path of its root. Does nothing but print it when that version is
# there. KERNEL:
#   6.1    Debian 12, amd64
#   6.12   Debian 13, amd64
#   arm64  Debian 12's 6.1, arm64
set -euo pipefail

# shellcheck source=tests/kernels/debian.sh
. "$(dirname "$0")/debian.sh"
case ${1:-} in
  6.1) suite=bookworm architecture=amd64 ;;
  6.12) suite=trixie architecture=amd64 ;;
  arm64) suite=bookworm architecture=arm64 ;;
  *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
mkdir -p "$2"
directory=$(realpath "$2")
exec 9>"$directory/lock"
flock 9

private_apt "$suite" "$architecture" "$directory"
package=$(apt-cache "${apt[@]}" depends "linux-image-cloud-$architecture" |
  sed -n "s/^ *Depends: \(linux-image-6\..*-cloud-$architecture\)\$/\1/p")
[[ -n $package ]] || { echo "apt-cache does not know linux-image-cloud-$architecture of $suite" >&2; exit 1; }

root=$directory/$package
if [[ ! -f $root/complete ]]; then
  rm -rf "$root" "$directory/download"
  mkdir "$directory/download"
  cd "$directory/download"
  apt-get "${apt[@]}" download -q "$package" >log 2>&1 || { cat log >&2; exit 1; }
  dpkg-deb -x "$package"_*.deb "$root"
  version=${package#linux-image-}
  [[ -e $root/lib ]] || ln -s usr/lib "$root/lib"  # Debian 13
  # Not every modprobe takes compressed ones.
  find "$root/lib/modules/$version/kernel" -name '*.ko.xz' -print0 | xargs -0 -r unxz
  busybox depmod -b "$root" "$version"
  touch "$root/complete"
  cd "$directory"
  rm -r download
fi
echo "$root"
