# shellcheck shell=sh
# The task of `cargo xtask vm`, part of the guest's first process (init.sh):
# the cases under each of the hook tiers $TIERS.

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
    cases check --tier "$1" --ran "/tmp/apart $1.out" "/tmp/apart-$1.json" "$apart" || failed=1
    cases check --tier "$1" --ran "/tmp/late $1.out" "/tmp/late-$1.json" 35 || failed=1
    return "$failed"
}

# cgroup1: a container of one case under each tier on a machine that has
# cgroup v1 alone, one hierarchy a controller. Before anything uses the
# controllers in version 2, which would hold on to them.
cgroup1() {
    umount /sys/fs/cgroup
    mount -t tmpfs cgroup /sys/fs/cgroup
    for controller in cpu devices freezer pids; do
        mkdir "/sys/fs/cgroup/$controller"
        mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
    done
    failed=0
    for tier in $TIERS; do
        profiled "$tier" "/tmp/cgroup1-$tier.json" 01 >/tmp/cgroup1 2>&1 || failed=1
        cat /tmp/cgroup1
        cases check --tier "$tier" --ran /tmp/cgroup1 "/tmp/cgroup1-$tier.json" 01 || failed=1
    done
    umount /sys/fs/cgroup/*
    umount /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    return "$failed"
}

step doctor profiler doctor
step prepare cases prepare /image
step cgroup1 cgroup1
# The tiers must agree on the cases that each of them sees whole, so the one
# that only fexit does has a profile of its own.
apart=03
# All others but the one that runs before the profiler is attached.
cases run --list | sed -n 's/^\([0-9][0-9]*\) .*/\1/p' | grep -vx -e 35 -e "$apart" >/tmp/started
for tier in $TIERS; do
    # shellcheck disable=SC2046
    step "run $tier" profiled "$tier" "/tmp/$tier.json" $(cat /tmp/started)
    step "apart $tier" profiled "$tier" "/tmp/apart-$tier.json" "$apart"
    step "late $tier" containers late "$tier" "/tmp/late-$tier.json"
    step "check $tier" checked "$tier"
    step "profile $tier" cat "/tmp/$tier.json"
done
