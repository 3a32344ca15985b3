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
    cases check --tier "$1" --ran "/tmp/late $1.out" "/tmp/late-$1.json" 35 || failed=1
    return "$failed"
}

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
