#!/bin/bash
# check.sh CONSUMER PREFIX_OR_SOURCE BUILD_DIR, with the compilers in CC and CXX: see CMakeLists.txt.
set -euo pipefail

consumer=$1 prefix=$2 build=$3
here=$(cd "$(dirname "$0")" && pwd)

fail() {
  echo "$*"
  exit 1
}

consume_cmake() {  # PROJECT CMAKE_ARGUMENTS...
  local project=$1
  shift
  cmake -S "$here/$project" -B "$build" -G Ninja "$@"
  cmake --build "$build"
  [[ $("$build/consumer") == consumed ]] || fail "the consumer does not run"
}

consume_pkg_config() {  # MODULE FLAGS...
  local module=$1 flags
  shift
  export PKG_CONFIG_PATH=$prefix/share/pkgconfig
  flags=$(pkg-config --cflags --libs "$module")
  mkdir -p "$build"
  # One plain command line, as in a Makefile or a README; warnings of the headers are the user's too.
  # shellcheck disable=SC2086
  "$CXX" -std=c++20 -O1 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror "$@" "$here/main.cpp" $flags \
    -o "$build/consumer"
  [[ $("$build/consumer") == consumed ]] || fail "the consumer does not run"
}

expect_missing() {  # SENTENCE CMAKE_ARGUMENTS...
  local sentence=$1 output
  shift
  if output=$(cmake -S "$here/find_package" -B "$build" -G Ninja "-DCMAKE_PREFIX_PATH=$prefix" "$@" 2>&1); then
    fail "configures although it cannot"
  fi
  # CMake wraps its messages.
  output=$(tr -s ' \n' ' ' <<<"$output")
  [[ $output == *"$sentence"* ]] || fail "no clear message, but: $output"
}

check_program() {
  local page
  [[ $("$prefix/bin/synfp" --version) == "synfp "[0-9]*.[0-9]*.[0-9]* ]] || fail "synfp is not installed"
  for page in synfp synfp-read synfp-watch synfp-flood synfp-sizing; do
    [[ -s $prefix/share/man/man1/$page.1 ]] || fail "no man page $page"
  done
  bash -c "source '$prefix/share/bash-completion/completions/synfp' && complete -p synfp" >/dev/null ||
    fail "no completion for bash"
}

[[ $consumer == install ]] || rm -rf "$build"
case $consumer in
  install)
    rm -rf "$prefix"
    cmake --install "$build" --prefix "$prefix" >/dev/null
    # The tree can be moved: nothing remembers where it was made.
    # (Not of programs: their debug information names the sources.)
    ! grep -rIF "$prefix" "$prefix" || fail "installed files name the prefix"
    ! grep -rIF "$build" "$prefix" || fail "installed files name the build directory"
    [[ -f $prefix/include/synfp/version.hpp ]] || fail "no headers"
    [[ ! -f $build/tools/cli/synfp ]] || check_program
    ;;
  find_package) consume_cmake find_package "-DCMAKE_PREFIX_PATH=$prefix" ;;
  find_package_probe) consume_cmake find_package "-DCMAKE_PREFIX_PATH=$prefix" -DCONSUMER_COMPONENTS=probe ;;
  pkg_config) consume_pkg_config synfp ;;
  pkg_config_probe) consume_pkg_config synfp-probe -DCONSUMER_USES_PROBE ;;
  add_subdirectory) consume_cmake add_subdirectory "-DSYNFP_SOURCE=$prefix" ;;
  readme)
    # Its block of commands that install, with what tools/install-packages brings: no make.
    unset CMAKE_GENERATOR
    mkdir -p "$build/bin"
    for make in make gmake; do
      printf '#!/bin/sh\necho "there is no make" >&2\nexit 127\n' >"$build/bin/$make"
      chmod +x "$build/bin/$make"
    done
    commands=$(awk '/^```/ { if (inside && block ~ /cmake --install/) printf "%s", block; inside = !inside; block = ""; next }
      { block = block $0 "\n" }' \
      "$prefix/README.md")
    [[ -n $commands ]] || fail "README.md has no block with cmake --install"
    commands=${commands//build\/install/$build/tree}
    (cd "$prefix" && PATH=$build/bin:$PATH bash -euc "${commands//PREFIX/$build/prefix}")
    [[ -f $build/prefix/include/synfp-probe/synfp/detail/bpf_object.hpp ]] || fail "nothing was installed"
    ;;
  missing_liburing)
    export PKG_CONFIG_LIBDIR=$build/empty
    expect_missing 'synfp needs liburing >= 2.3, which pkg-config does not find (Debian: liburing-dev).'
    ;;
  missing_libbpf)
    mkdir -p "$build/only"
    cp "$(pkg-config --variable=pcfiledir liburing)/liburing.pc" "$build/only"
    export PKG_CONFIG_LIBDIR=$build/only
    expect_missing 'synfp needs libbpf >= 1.1, which pkg-config does not find (Debian: libbpf-dev).' \
      -DCONSUMER_COMPONENTS=probe
    ;;
  *) fail "unknown consumer $consumer" ;;
esac
