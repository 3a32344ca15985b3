#!/bin/busybox sh
# The guest's first process: runs the cases under each hook tier and writes
# what came of it to the second serial port, as sections:
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
# TIERS
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

# profiled TIER FILE CASE...: the cases, profiled. The profiler starts the
# containers only when its programs are attached.
profiled() {
    tier=$1
    file=$2
    shift 2
    profiler run --tier "$tier" -o "$file" -- containers "$@"
}

# checked TIER: the profiles against the table.
checked() {
    failed=0
    # shellcheck disable=SC2046
    cases check --tier "$1" --ran "/tmp/run $1.out" "/tmp/$1.json" $(cat /tmp/started) || failed=1
    cases check --tier "$1" --ran "/tmp/late $1.out" "/tmp/late-$1.json" 35 || failed=1
    return "$failed"
}

step version profiler --version
step doctor profiler doctor
step prepare cases prepare /image
# All but the one that runs before the profiler is attached.
cases run --list | sed -n 's/^\([0-9][0-9]*\) .*/\1/p' | grep -vx 35 >/tmp/started
for tier in $TIERS; do
    # shellcheck disable=SC2046
    step "run $tier" profiled "$tier" "/tmp/$tier.json" $(cat /tmp/started)
    step "late $tier" containers late "$tier" "/tmp/late-$tier.json"
    step "check $tier" checked "$tier"
    step "profile $tier" cat "/tmp/$tier.json"
done

# The tiers must agree on the cases that each of them sees whole: if there
# are others, once more without them.
for tier in $TIERS; do
    sed -n 's/^\([0-9][0-9]*\) .*: not seen.*/\1/p' "/tmp/check $tier.out"
done | sort -u >/tmp/unseen
if [ -s /tmp/unseen ]; then
    for tier in $TIERS; do
        # shellcheck disable=SC2046
        step "run-common $tier" profiled "$tier" "/tmp/common-$tier.json" \
            $(grep -vxFf /tmp/unseen /tmp/started)
        step "common $tier" cat "/tmp/common-$tier.json"
    done
fi
echo "@@ done" >&3
# Waits until the last byte is out.
exec 3>&-
