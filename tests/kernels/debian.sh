# shellcheck shell=bash
# Sourced. private_apt SUITE ARCHITECTURE DIRECTORY: package lists of a Debian suite for an architecture, in DIRECTORY,
# beside those of the system, which stay as they are. Refreshed once a day. Sets the array `apt`: options that make
# apt-get and apt-cache use them, with nothing installed. Needs no privilege. The caller holds a lock on DIRECTORY.
private_apt() {
  local suite=$1 architecture=$2 state=$3/apt-$1-$2 place
  mkdir -p "$state"/{lists,archives}/partial
  : >"$state/status"
  for place in "debian $suite" "debian-security $suite-security"; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/$place main"
  done >"$state/sources.list"
  apt=(-o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture"
    -o APT::Install-Recommends=false -o APT::Sandbox::User=root -o "Dir::State=$state" -o "Dir::State::Lists=$state/lists"
    -o "Dir::State::status=$state/status" -o "Dir::Cache=$state" -o "Dir::Cache::archives=$state/archives"
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
    -o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null)
  if [[ -z $(find "$state/updated" -mmin -1440 2>/dev/null) ]]; then
    if apt-get "${apt[@]}" update >"$state/log" 2>&1 && ! grep -q '^[EW]:' "$state/log"; then
      touch "$state/updated"
    elif [[ ! -e $state/updated ]]; then  # else the lists of another day will do
      cat "$state/log" >&2
      return 1
    fi
  fi
}
