#!/bin/bash
# fetch.sh DIRECTORY: unpacks the newest kernel 6.1 of Debian 12 (the cloud flavour: BPF, BTF and io_uring built
# in) into DIRECTORY and prints the path of its root. Does nothing but print it when that version is there.
set -euo pipefail

mkdir -p "$1"
directory=$(realpath "$1")
meta=linux-image-cloud-amd64

resolve() { apt-cache depends "$meta" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-6\.1\..*-cloud-amd64\)$/\1/p'; }

exec 9>"$directory/lock"
flock 9

package=$(resolve)
if [[ -z $package ]]; then
  ((EUID == 0)) && apt-get update >/dev/null
  package=$(resolve)
fi
[[ -n $package ]] || { echo "apt-cache does not know $meta: run apt-get update on Debian 12" >&2; exit 1; }

root=$directory/$package
if [[ ! -f $root/complete ]]; then
  rm -rf "$root" "$directory/download"
  mkdir "$directory/download"
  cd "$directory/download"
  apt-get download -q "$package" >log 2>&1 || { cat log >&2; exit 1; }
  dpkg-deb -x "$package"_*.deb "$root"
  version=${package#linux-image-}
  busybox depmod -b "$root" "$version"
  touch "$root/complete"
  cd "$directory"
  rm -r download
fi
echo "$root"
