#!/bin/bash
# check.sh CONSUMER PREFIX_OR_SOURCE BUILD_DIR, with the compilers in CC and CXX: see CMakeLists.txt.
set -euo pipefail

consumer=$1 prefix=$2 build=$3
here=$(cd "$(dirname "$0")" && pwd)

fail() {
  echo "$*"
  exit 1
}

# Not only what is called is loaded, but what is linked: some compilers are set up with --as-needed, some are not.
link_all=-DCMAKE_EXE_LINKER_FLAGS=-Wl,--no-as-needed

# What the program loads is what its user asked for: liburing for synfp, libbpf for probe, nothing for core.
check_consumer() {  # COMPONENTS
  local needed library component
  [[ $("$build/consumer") == consumed ]] || fail "the consumer does not run"
  needed=$(readelf -d "$build/consumer" | sed -n 's/.*(NEEDED).*\[\(lib[a-z_+-]*\).*/\1/p')
  [[ $needed == *libc* ]] || fail "readelf says nothing"
  while read -r library component; do
    if [[ _$1_ == *_${component}_* ]]; then
      grep -qx "$library" <<<"$needed" || fail "$1 does not load $library"
    else
      ! grep -qx "$library" <<<"$needed" || fail "$1 loads $library"
    fi
  done <<<$'liburing synfp\nlibbpf probe\nlibssl tls\nlibcrypto tls'
  ! grep -vE '^lib(uring|bpf|ssl|crypto|stdc\+\+|gcc_s|c|m)$' <<<"$needed" || fail "$1 loads more than it names"
}

consume_cmake() {  # PROJECT COMPONENTS CMAKE_ARGUMENTS...
  local project=$1 components=$2
  shift 2
  cmake -S "$here/$project" -B "$build" -G Ninja "-DCONSUMER=$components" "$link_all" "$@"
  cmake --build "$build"
  check_consumer "$components"
}

consume_pkg_config() {  # COMPONENTS
  local modules flags
  export PKG_CONFIG_PATH=$prefix/share/pkgconfig
  case $1 in
    synfp_probe) modules='synfp synfp-probe' ;;
    synfp_tls) modules=synfp-tls ;;
    synfp) modules=synfp ;;
    *) modules=synfp-$1 ;;
  esac
  # shellcheck disable=SC2086
  flags=$(pkg-config --cflags --libs $modules)
  [[ $1 == synfp* || $flags != *pthread* ]] || fail "$1 asks for threads"
  mkdir -p "$build"
  # One plain command line, as in a Makefile or a README; warnings of the headers are the user's too.
  # shellcheck disable=SC2086
  "$CXX" -std=c++20 -O1 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror "$here/$1.cpp" -Wl,--no-as-needed $flags \
    -o "$build/consumer"
  check_consumer "$1"
}

only() {  # MODULE: all that pkg-config finds, with what it requires itself
  local module
  mkdir -p "$build/only"
  for module in "$1" $(pkg-config --print-requires --print-requires-private "$1" | cut -d ' ' -f 1); do
    cp "$(pkg-config --variable=pcfiledir "$module")/$module.pc" "$build/only"
  done
  export PKG_CONFIG_LIBDIR=$build/only
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
  for page in synfp synfp-read synfp-watch synfp-flood synfp-sizing synfp-socket synfp-stats synfp-doctor; do
    [[ -s $prefix/share/man/man1/$page.1 ]] || fail "no man page $page"
  done
  [[ ! -e $prefix/sbin/synfpd || -s $prefix/share/man/man8/synfpd.8 ]] || fail "no man page synfpd"
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
    for text in LICENSE NOTICE LICENSES/MIT.txt LICENSES/GPL-2.0-only.txt; do
      [[ -s $prefix/share/doc/synfp/$text ]] || fail "no $text"
    done
    [[ ! -f $build/tools/cli/synfp ]] || check_program
    ;;
  find_package_*) consume_cmake find_package "${consumer#find_package_}" "-DCMAKE_PREFIX_PATH=$prefix" ;;
  pkg_config_*) consume_pkg_config "${consumer#pkg_config_}" ;;
  add_subdirectory) consume_cmake add_subdirectory synfp "-DSYNFP_SOURCE=$prefix" ;;
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
    # And its block of CMake, with what was installed.
    mkdir "$build/project"
    { printf 'cmake_minimum_required(VERSION 3.25)\nproject(readme LANGUAGES CXX)\n'
      printf 'add_executable(server "%s/synfp_probe.cpp")\nset_target_properties(server PROPERTIES OUTPUT_NAME consumer)\n' "$here"
      sed -n '/^```cmake$/,/^```$/{/^```/d;p}' "$prefix/README.md"; } >"$build/project/CMakeLists.txt"
    grep -q find_package "$build/project/CMakeLists.txt" || fail "README.md has no block of CMake"
    cmake -S "$build/project" -B "$build" -G Ninja "-DCMAKE_PREFIX_PATH=$build/prefix" "$link_all"
    cmake --build "$build"
    check_consumer synfp_probe
    ;;
  unknown_component)
    expect_missing 'synfp has no component "server"; it has core, probe, synfp and tls.' -DCONSUMER=server
    ;;
  missing_liburing)
    export PKG_CONFIG_LIBDIR=$build/empty
    expect_missing 'synfp needs liburing >= 2.3, which pkg-config does not find (Debian: liburing-dev).' -DCONSUMER=synfp
    ;;
  missing_liburing_core)
    export PKG_CONFIG_LIBDIR=$build/empty
    consume_cmake find_package core "-DCMAKE_PREFIX_PATH=$prefix"
    ;;
  missing_liburing_probe)
    only libbpf
    consume_cmake find_package probe "-DCMAKE_PREFIX_PATH=$prefix"
    ;;
  missing_liburing_add_subdirectory)
    export PKG_CONFIG_LIBDIR=$build/empty
    consume_cmake add_subdirectory core "-DSYNFP_SOURCE=$prefix" -DSYNFP_URING=OFF -DSYNFP_PROBE=OFF
    ;;
  missing_libbpf)
    only liburing
    expect_missing 'synfp needs libbpf >= 1.1, which pkg-config does not find (Debian: libbpf-dev).' -DCONSUMER=probe
    ;;
  missing_openssl)
    only liburing
    expect_missing 'synfp needs openssl >= 3.0, which pkg-config does not find (Debian: libssl-dev).' -DCONSUMER=tls
    ;;
  *) fail "unknown consumer $consumer" ;;
esac
