#!/bin/busybox sh
# Measures loops in the running container $CONTAINER, without an observer and
# with the profiler, in turn. A line for each:
#
#   REPETITION OBSERVER LOOP NANOSECONDS
#
#   observe                           all of it, as /etc/vm.conf says
#   observe loops REPETITION OBSERVER the loops, once each
#
# The profiler attaches to the whole machine, so it sees what a container does
# that was there before it; a new one for each turn would take longer than the
# loops.
set -eu

# REPETITIONS, OBSERVERS ("none" or a hook tier, each) and LOOPS (of words
# LOOP:TURNS).
. /etc/vm.conf

# loops REPETITION OBSERVER
loops() {
    for loop in $LOOPS; do
        runc exec "$CONTAINER" /bin/cases time "${loop%:*}" "${loop#*:}" </dev/null >/tmp/time
        echo "$1 $2 $(cat /tmp/time)"
    done
}

# session REPETITION OBSERVER
session() {
    case $2 in
        none) loops "$@" ;;
        *) profiler run --tier "$2" -o /tmp/profile.json -- observe loops "$@" ;;
    esac
}

if [ "${1:-}" = loops ]; then
    shift
    loops "$@"
    exit
fi
# Does not count: it brings everything into the page cache.
loops - none
# shellcheck disable=SC2086
set -- $OBSERVERS
repetition=0
while [ "$repetition" -lt "$REPETITIONS" ]; do
    for observer in "$@"; do
        session "$repetition" "$observer"
    done
    # Who runs directly before and after whom changes.
    first=$1
    shift
    set -- "$@" "$first"
    repetition=$((repetition + 1))
done
