#!/bin/busybox sh
# The guest's first process: makes the machine ready, does the task in
# /etc/task and writes what came of it to the second serial port, as sections:
#
#   @@ begin NAME
#   (output of the step)
#   @@ end NAME STATUS UPTIME
#
# and `@@ done` at the end. Each way out of this script powers the machine off.
set -eu

PATH=/usr/sbin:/usr/bin:/bin
export PATH

# The kernel's first root cannot be pivoted away from, which every container
# runtime wants to do: move to a file system of our own.
if [ "${1:-}" != moved ]; then
    /bin/busybox mkdir -p /proc /new
    /bin/busybox mount -t proc proc /proc
    # With /proc there, the links lead to the program itself.
    /bin/busybox --install -s /bin
    umount /proc
    mount -t tmpfs tmpfs /new
    mkdir -p /new/proc /new/sys /new/dev /new/run /new/tmp /new/root
    cp -a /bin /etc /init /lib /lib64 /usr /new/
    exec switch_root /new /init moved
fi

mount -t devtmpfs devtmpfs /dev
exec </dev/null >/dev/console 2>&1
trap 'poweroff -f' EXIT
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
for module in /lib/modules/"$(uname -r)"/*.ko; do
    insmod "$module"
done
# What the task needs to know.
. /etc/vm.conf

stty -F /dev/ttyS1 raw -echo
exec 3>/dev/ttyS1
set -o pipefail

# step NAME COMMAND...: a section of the results. Its output is kept at
# /tmp/NAME.out too. By a pipe, so that a container inherits no device.
step() {
    name=$1
    shift
    echo "@@ begin $name" >&3
    status=0
    "$@" 2>&1 3>&- | tee "/tmp/$name.out" >&3 || status=$?
    echo "@@ end $name $status $(cut -d ' ' -f 1 /proc/uptime)" >&3
}

step version profiler --version
. /etc/task
echo "@@ done" >&3
# Waits until the last byte is out.
exec 3>&-
