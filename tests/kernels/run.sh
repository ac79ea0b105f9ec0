#!/bin/bash
# run.sh [OPTIONS] BINARY [ARGUMENTS...]: runs BINARY as root under one of Debian's kernels in a virtual machine,
# with its output on stdout, and exits with its status.
#   --kernel KERNEL    6.1 (default), 6.12 or arm64: see fetch.sh. What runs under arm64 is from its sysroot: sysroot.sh
#   --cpu MODEL        to emulate, as qemu calls it; default max, of arm64 neoverse-n1. cortex-a72 is an older one
#   --file SRC[:DST]   also copy the file or directory SRC (to DST; an ELF file brings its libraries)
#   --module NAME      also load this kernel module (veth, sch_ingress, cls_bpf and act_bpf always are)
#   --timeout SECONDS  of the whole run; default 120
#   --memory MEGABYTES default 1024
#   --cache DIRECTORY  of the unpacked packages; default build/kernels of this source tree
# Statuses of its own: 124 timed out; 125 the machine did not run the program, or the kernel complained (oops,
# warning, hung task): then the console is printed too.
#
# The machine is an initramfs (also its /tmp) on qemu's emulated CPU: no KVM (nested virtualisation is not to be relied on), no
# disk, no network but lo. Serial ports: the kernel's console, the program's output, the program's status.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
files=() modules=(veth sch_ingress cls_bpf act_bpf) timeout=120 memory=1024 kernel=6.1 cpu=
cache=$here/../../build/kernels

usage() {
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
  exit 125
}
while (($# > 0)); do
  case $1 in
    --file) files+=("$2") && shift 2 ;;
    --module) modules+=("$2") && shift 2 ;;
    --timeout) timeout=$2 && shift 2 ;;
    --memory) memory=$2 && shift 2 ;;
    --kernel) kernel=$2 && shift 2 ;;
    --cache) cache=$2 && shift 2 ;;
    --cpu) cpu=$2 && shift 2 ;;
    -*) usage ;;
    *) break ;;
  esac
done
(($# > 0)) || usage
binary=$(realpath "$1")
shift

boot=$("$here/fetch.sh" "$kernel" "$cache") || exit 125
version=${boot##*/linux-image-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root
sysroot=
case $kernel in
  arm64)
    sysroot=$("$here/sysroot.sh" arm64 "$cache") || exit 125
    # A server's, with atomic instructions (LSE). `max` takes twice as long to emulate.
    machine=(qemu-system-aarch64 -machine virt -cpu "${cpu:-neoverse-n1}")
    console=ttyAMA0 output=ttyS0 status=ttyS1
    ports=(-serial chardev:console -device pci-serial-2x,chardev1=output,chardev2=status)
    ;;
  *)
    machine=(qemu-system-x86_64 -cpu "${cpu:-max}")
    console=ttyS0 output=ttyS1 status=ttyS2
    ports=(-serial chardev:console -serial chardev:output -serial chardev:status)
    ;;
esac
mkdir -p "$root"/{bin,sbin,proc,sys,dev,tmp,run,root,etc,lib,lib64,usr}

# Prints the paths of the interpreter and of the libraries of a file; nothing for a static program.
libraries_of() {  # FILE
  if [[ -z $sysroot ]]; then
    { ldd "$1" 2>/dev/null || true; } | sed -n 's|^[^/]*\(/[^ ]*\) (0x.*|\1|p'
  else
    { readelf -ldW "$1" 2>/dev/null || true; } | sed -n 's|.*interpreter: \(/.*\)\]|\1|p
      s|.*(NEEDED).*\[\(.*\)\]|/lib/aarch64-linux-gnu/\1|p'
  fi
}
# Same paths as here or in the sysroot, so the program finds its interpreter and libraries where it was linked to look
# for them.
add_libraries() {  # FILE
  local library
  for library in $(libraries_of "$1"); do
    [[ ! -e $root$library ]] || continue
    install -D "$sysroot$library" "$root$library"
    add_libraries "$root$library"
  done
}
add_file() {  # SRC DST
  [[ -e $1 ]] || { echo "no such file: $1" >&2; exit 125; }
  mkdir -p "$(dirname "$root$2")"
  cp -rL "$1" "$root$2"
  [[ -d $1 ]] || add_libraries "$1"
}
quote() { printf " '%s'" "${@//\'/\'\\\'\'}"; }

if [[ $sysroot ]]; then busybox=$sysroot/bin/busybox; else busybox=$(command -v busybox); fi
add_file "$busybox" /bin/busybox
add_file "$binary" "$binary"
for file in ${files[@]+"${files[@]}"}; do
  source=$(realpath -s "${file%%:*}")
  destination=$source
  [[ $file == *:* ]] && destination=${file#*:}
  add_file "$source" "$destination"
done

tree=lib/modules/$version
install -D "$boot/$tree/modules.dep" "$root/$tree/modules.dep"
for module in "${modules[@]}"; do
  # module.ko: what it needs...
  paths=$(sed -n "s|^\(.*/$module\.ko\):|\1|p" "$boot/$tree/modules.dep")
  [[ -n $paths ]] || { echo "kernel $version has no module $module" >&2; exit 125; }
  for path in $paths; do install -D "$boot/$tree/$path" "$root/$tree/$path"; done
done

cat >"$root/init" <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root TERM=dumb LANG=C
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
chmod 1777 /tmp
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
stty -F /dev/$output raw -echo
stty -F /dev/$status raw -echo
for module in ${modules[*]}; do modprobe \$module; done
ip link set lo up
cd /root
$(quote "$binary" "$@") </dev/null >/dev/$output 2>&1
status=\$?
echo \$status >/dev/$status
sync
poweroff -f
END
chmod +x "$root/init"
# The path of a program may be shadowed by busybox's own applet of that name; absolute paths are not.
(cd "$root" && find . -print0 | cpio --null --create --format=newc --quiet) >"$scratch/initramfs"

: >"$scratch/status"
qemu_status=0
timeout --kill-after=5 "$timeout" "${machine[@]}" -accel tcg,thread=multi -smp 2 -m "$memory" \
  -nodefaults -no-user-config -display none -no-reboot \
  -kernel "$boot/boot/vmlinuz-$version" -initrd "$scratch/initramfs" \
  -append "console=$console panic=-1 quiet loglevel=5 oops=panic random.trust_cpu=on" \
  -chardev "file,id=console,path=$scratch/console" -chardev stdio,id=output,signal=off \
  -chardev "file,id=status,path=$scratch/status" "${ports[@]}" </dev/null || qemu_status=$?

console() {
  echo "console of kernel $version:" >&2
  tail -n 100 "$scratch/console" | tr -d '\r' >&2
}
if ((qemu_status == 124 || qemu_status == 137)); then
  console
  echo "timed out after $timeout s under kernel $version" >&2
  exit 124
fi
if grep -qE 'BUG:|WARNING: |Oops|Call Trace|general protection|blocked for more than|Kernel panic' "$scratch/console"; then
  console
  exit 125
fi
status=$(tr -cd 0-9 <"$scratch/status")
if [[ -z $status ]]; then
  console
  echo "the virtual machine ended without running the program (qemu: $qemu_status)" >&2
  exit 125
fi
exit "$status"
