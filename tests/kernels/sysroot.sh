#!/bin/bash
# sysroot.sh ARCHITECTURE DIRECTORY: unpacks what the tests of another architecture are built with and run with, from
# Debian 12, into DIRECTORY and prints the path of its root. ARCHITECTURE: arm64 or s390x. Does nothing but print it when
# the newest versions are there. Nothing is installed and no script of a package runs.
set -euo pipefail

# shellcheck source=tests/kernels/debian.sh
. "$(dirname "$0")/debian.sh"
architecture=${1:-}
[[ $architecture == arm64 || $architecture == s390x ]] ||
  { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
mkdir -p "$2"
directory=$(realpath "$2")
exec 9>"$directory/lock"
flock 9

build=(libc6-dev libstdc++-12-dev libbpf-dev liburing-dev libpcap-dev libgtest-dev libgmock-dev nlohmann-json3-dev)
run=(busybox-static dash iproute2 procps)  # in the virtual machine
private_apt bookworm "$architecture" "$directory"
packages=$(apt-get "${apt[@]}" install -y --print-uris "${build[@]}" "${run[@]}" | sed -n "s/^'[^']*' \([^ ]*\) .*/\1/p")

root=$directory/sysroot-$architecture
if [[ ! -f $root/complete || $(<"$root/complete") != "$packages" ]]; then
  rm -rf "$root"
  mkdir -p "$root"/usr/{bin,sbin,lib}
  ln -s usr/bin usr/sbin usr/lib "$root"
  apt-get "${apt[@]}" install -y --download-only "${build[@]}" "${run[@]}" >"$directory/log" 2>&1 ||
    { cat "$directory/log" >&2; exit 1; }
  for package in $packages; do
    # dpkg-deb -x would put a directory in place of a link.
    dpkg-deb --fsys-tarfile "$directory/apt-bookworm-$architecture/archives/$package" |
      tar -x -C "$root" --keep-directory-symlink
  done
  rm -r "$directory/apt-bookworm-$architecture/archives" "$directory/log"
  # Absolute links would lead out of it.
  find "$root" -type l -lname '/*' -printf '%p %l\n' | while read -r link target; do
    ln -sfnr "$root$target" "$link"
  done
  echo "$packages" >"$root/complete"
fi
echo "$root"
