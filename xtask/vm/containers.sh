#!/bin/busybox sh
# Runs cases in the containers that they need, by runc.
#
#   containers NN...             these, one container after the other
#   containers late TIER FILE    case 35 with `profiler record`
#   containers around COMMAND... COMMAND, while a container runs whose ID is in
#                                the variable CONTAINER
#
# All containers are made of /image, with mounts at the places of case 28.
set -eu

BUNDLE=/run/bundle
number=10

# container ARGUMENT...: makes the bundle of a new container that will run
# `cases ARGUMENT...`. Its ID is in $id.
container() {
    number=$((number + 1))
    id=cases-$number
    arguments=
    for argument in "$@"; do
        arguments="$arguments, \"$argument\""
    done
    # A file system of its own, gone at once with all that a case made there.
    mkdir -p "$BUNDLE"
    mount -t tmpfs tmpfs "$BUNDLE"
    cd "$BUNDLE"
    mkdir rootfs upper work bind volume
    echo bound >bind/file
    echo "127.0.0.1 localhost" >hosts
    sed "s/, \"@ARGUMENTS@\"/$arguments/" /etc/config.json >config.json
    # With file handles, which an overlay gives only when asked.
    mount -t overlay overlay \
        -o lowerdir=/image,upperdir=upper,workdir=work,index=on,nfs_export=on rootfs
}

# discard: takes the bundle away.
discard() {
    cd /
    umount "$BUNDLE/rootfs"
    umount "$BUNDLE"
}

# performed ARGUMENT...: runs `cases ARGUMENT...` in a new container.
performed() {
    container "$@"
    status=0
    runc run --bundle "$BUNDLE" "$id" </dev/null || status=$?
    discard
    return "$status"
}

# started ARGUMENT...: the same in the background, up to where it waits for a
# byte, which `>&4` gives it.
started() {
    container "$@"
    mkfifo stdin
    : >stdout
    runc run --bundle "$BUNDLE" "$id" <stdin >stdout &
    process=$!
    exec 4>stdin
    until_said waiting
}

# until_said WORD: waits for a line of the container's.
until_said() {
    until grep -qx "$1" "$BUNDLE/stdout"; do
        kill -0 "$process"
        sleep 0.1
    done
}

# ended: waits for its end, and says what it said.
ended() {
    exec 4>&-
    status=0
    wait "$process" || status=$?
    cat "$BUNDLE/stdout"
    discard
    return "$status"
}

if [ "$1" = late ]; then
    started run 35
    # What is left of the recording before would be taken for this one's.
    : >/tmp/recorder
    profiler record --tier "$2" --container "$id" -o "$3" 2>/tmp/recorder &
    recorder=$!
    until grep -q recording /tmp/recorder; do
        if ! kill -0 "$recorder"; then
            cat /tmp/recorder
            printf .. >&4
            ended
            exit 1
        fi
        sleep 0.1
    done
    printf . >&4
    until_said touched
    kill -TERM "$recorder"
    recorded=0
    wait "$recorder" || recorded=$?
    cat /tmp/recorder
    printf . >&4
    ended
    exit "$recorded"
fi

if [ "$1" = around ]; then
    shift
    started wait
    result=0
    CONTAINER=$id "$@" 4>&- || result=$?
    ended || result=1
    exit "$result"
fi

# The cases that share a container.
together=
failed=0
for case in "$@"; do
    case $case in
        36 | 37 | 38 | 39) ;;
        *) together="$together $case" ;;
    esac
done
# shellcheck disable=SC2086
performed run $together || failed=1
for case in "$@"; do
    case $case in
        36 | 38) performed run "$case" || failed=1 ;;
        37)
            started run --part main 37
            runc exec "$id" /bin/cases run --part exec 37 </dev/null || failed=1
            printf . >&4
            ended || failed=1
            ;;
        39)
            for part in first second first second; do
                performed run --part "$part" 39 || failed=1
            done
            ;;
    esac
done
exit "$failed"
