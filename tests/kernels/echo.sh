#!/bin/sh
# Inside the virtual machine: the echo server answers curl with its own SYN, from each source.
set -eu
for options in "--capture reuseport" "--capture xdp --interface lo" "--capture tcx --interface lo" "--capture kprobe" "--capture saved-syn"; do
  # shellcheck disable=SC2086
  echo_server --listen '[::]:8080' $options >/tmp/line &
  server=$!
  while ! grep -q listening /tmp/line; do kill -0 $server; sleep 0.1; done
  for url in http://127.0.0.1:8080/ 'http://[::1]:8080/'; do
    source=$(echo "${options#--capture }" | cut -d' ' -f1 | tr - _)
    answer=$(curl -sS --max-time 20 "$url")
    echo "$answer"
    case $answer in
      *"\"source\":\"$source\""*'"options":["mss","sok","ts","nop","ws"]'*) ;;
      *) echo "not its own SYN from $source"; exit 1 ;;
    esac
  done
  kill $server
  wait $server
  : >/tmp/line
done
