#!/bin/bash
# debian13.sh [COMMAND...]: what users of Debian 13 (g++ 14, clang 19, liburing 2.9, libbpf 1.5) get, on any machine with
# debootstrap. Makes a Debian 13 in SYNFP_DEBIAN13 (default /var/tmp/synfp-debian13, about 5 GB), copies this tree into
# it and there
#   run            asks the server that tools/run builds and starts, and installs as the README says
#   debug-g++      builds everything and runs the tests that need no privilege
#   release-clang  the same, and loads every variant of the probe that this clang makes into the running kernel
# With a COMMAND it runs that there instead, for instance debian13.sh tools/test. Needs root and Debian's mirror. Run it
# again and it goes on from where it was; rm -r the directory for a fresh start. Mounts and processes are in namespaces
# of their own and go when the script goes, even if it is killed. The last line is the verdict.
set -euo pipefail

root=${SYNFP_DEBIAN13:-/var/tmp/synfp-debian13}
self=$(realpath "$0")
log=$root.log

heading() { echo "== $* ($SECONDS s)"; }
quietly() { "$@" >"$log" 2>&1 || { cat "$log"; return 1; }; }  # COMMAND...: its output only if it fails

make_debian() {
  if [[ -f $root/complete ]]; then return; fi
  if [[ -e $root && ! -f $root/unfinished ]]; then
    echo "$root is not a Debian that this script made: remove it, or set SYNFP_DEBIAN13" >&2
    return 1
  fi
  command -v debootstrap >/dev/null || { echo "no debootstrap here; please install it" >&2; return 1; }
  heading "debootstrap trixie in $root"
  rm -rf --one-file-system "$root"
  mkdir -p "$root"
  touch "$root/unfinished"
  quietly debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
    trixie "$root" http://deb.debian.org/debian
  mv "$root/unfinished" "$root/complete"
}

copy_tree() {
  mkdir -p "$root/src/build"
  find "$root/src" -mindepth 1 -maxdepth 1 ! -name build -exec rm -r {} +
  # With the times of the files, so that only what changed is built.
  tar -C "${self%/tests/*}" --exclude=./build --exclude='./build-*' --exclude=./.git -cf - . | tar -C "$root/src" -xf -
}

there() {  # SHELL_TEXT: in the copied tree
  chroot "$root" env -i HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    bash -euo pipefail -c "cd /src; $1"
}

check_run() {
  heading tools/run
  quietly there 'tools/run --help'
  quietly there 'tests/consumers/check.sh readme /src /tmp/readme'
  # shellcheck disable=SC2016
  there 'exec unshare --net bash -euo pipefail -c "$(cat)"' <<'END'
    ip link set lo up
    tools/run >/tmp/line &
    for ((i = 0; i < 1200; ++i)); do
      ! grep -q listening /tmp/line || break
      kill -0 $!
      sleep 0.1
    done
    exec 3<>/dev/tcp/127.0.0.1/8080
    printf 'GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n' >&3
    answer=$(cat <&3)
    kill $!
    wait $!
    [[ $answer == *'"source":"reuseport"'*'"options":["mss","sok","ts","nop","ws"]'* ]] || { echo "$answer"; exit 1; }
END
}

check_preset() {  # PRESET
  heading "$1"
  quietly there "cmake --preset $1"
  quietly there "cmake --build --preset $1"
  quietly there "ctest --preset $1 -j $(nproc) -LE '^(system|kernel61)\$'"
  grep -E '^100% tests passed, 0 tests failed out of [0-9]+$' "$log"
}

inside() {  # in the namespaces
  make_debian
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  copy_tree
  if (($# > 0)); then
    heading "$*"
    there "$*"
    return
  fi
  check_run
  heading packages
  there 'tools/install-packages test 2>&1; g++ --version | head -n 1; clang++ --version | head -n 1'
  check_preset debug-g++
  check_preset release-clang
  quietly there "ctest --preset release-clang -R '^verifier\\.'"
  grep -E '^100% tests passed, 0 tests failed out of [0-9]+$' "$log"
}

case ${1:-} in
  --inside)
    shift
    inside "$@"
    exit
    ;;
  -*)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
verdict() {
  local status=$?
  if ((status == 0)); then
    echo "tests/debian13.sh: PASSED after $SECONDS s"
  else
    echo "tests/debian13.sh: FAILED (status $status) in what is named last, after $SECONDS s"
  fi
}
trap verdict EXIT
((EUID == 0)) || { echo "this makes a chroot: run it as root" >&2; exit 1; }
# Whatever ends this shell ends unshare, which ends the first process of its namespace and so all others.
setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child "$self" --inside "$@" &
child=$!
trap 'kill -KILL $child; exit 130' INT HUP TERM
wait $child
