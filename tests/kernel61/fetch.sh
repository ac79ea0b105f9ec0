#!/bin/bash
# fetch.sh DIRECTORY: unpacks the newest kernel 6.1 of Debian 12 (the cloud flavour: BPF, BTF and io_uring built
# in) into DIRECTORY and prints the path of its root. Does nothing but print it when that version is there. On a newer
# Debian, Debian 12's package lists are kept in DIRECTORY; the system's are left alone.
set -euo pipefail

mkdir -p "$1"
directory=$(realpath "$1")
meta=linux-image-cloud-amd64

# shellcheck disable=SC1091
. /etc/os-release
apt=()  # options
if [[ ${VERSION_CODENAME:-} != bookworm ]]; then
  apt=(-o "Dir::State::Lists=$directory/lists" -o "Dir::Etc::SourceList=$directory/debian12.list"
    -o Dir::Etc::SourceParts=/dev/null -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
fi
resolve() {
  { apt-cache "${apt[@]}" depends "$meta" 2>/dev/null || true; } |
    sed -n 's/^ *Depends: \(linux-image-6\.1\..*-cloud-amd64\)$/\1/p'
}

exec 9>"$directory/lock"
flock 9

package=$(resolve)
if [[ -z $package ]]; then
  mkdir -p "$directory/lists/partial"
  for place in 'debian bookworm' 'debian-security bookworm-security'; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/$place main"
  done >"$directory/debian12.list"
  ((EUID == 0)) && apt-get "${apt[@]}" update >/dev/null
  package=$(resolve)
fi
[[ -n $package ]] || { echo "apt-cache does not know $meta of Debian 12; run $0 $1 as root" >&2; exit 1; }

root=$directory/$package
if [[ ! -f $root/complete ]]; then
  rm -rf "$root" "$directory/download"
  mkdir "$directory/download"
  cd "$directory/download"
  apt-get "${apt[@]}" download -q "$package" >log 2>&1 || { cat log >&2; exit 1; }
  dpkg-deb -x "$package"_*.deb "$root"
  version=${package#linux-image-}
  busybox depmod -b "$root" "$version"
  touch "$root/complete"
  cd "$directory"
  rm -r download
fi
echo "$root"
