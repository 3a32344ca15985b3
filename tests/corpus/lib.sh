# The course of every test of the corpus; sourced as a test's last line. What
# a test defines before that, and what it may use, is told in README.md.

say() {
    echo "$(basename "$(dirname "$0")")/$(basename "$0"): $*" >&2
}

expected=0
held=0

# expect TEXT COMMAND…: runs the command; its output must hold TEXT. Where it
# does not, the test goes on, and fails at its end.
expect() {
    wanted=$1
    shift
    expected=$((expected + 1))
    if ! got=$("$@" 2>&1); then
        say "failed: $*: $got"
        return
    fi
    case $got in
    *"$wanted"*) held=$((held + 1)) ;;
    *) say "$*: expected $wanted, got: $got" ;;
    esac
}

# get PATH [CURL'S OPTIONS…]: asks the container by HTTP.
get() {
    path=$1
    shift
    curl --fail-with-body --silent --show-error --max-time 20 "$@" "http://$address$path"
}

end() {
    status=$?
    trap - EXIT
    echo "held $held of $expected"
    if [ "$held" != "$expected" ] && [ "$status" = 0 ]; then
        status=1
    fi
    if [ "$status" != 0 ]; then
        say "the container's last words:"
        docker logs --tail 20 "$NAME" >&2 || true
    fi
    # Stopped as an operator would, so that the way down is profiled too.
    docker stop --time 20 "$NAME" >/dev/null || true
    docker rm --force --volumes "$NAME" >/dev/null || true
    exit "$status"
}

# Sets where the container is reached, and waits until it can be used.
await() {
    address=$(docker port "$NAME" "$port" 2>/dev/null | head -n 1)
    host=${address%:*}
    published=${address##*:}
    deadline=$(($(date +%s) + 60))
    until ready >/dev/null 2>&1; do
        running=$(docker inspect --format '{{.State.Running}}' "$NAME")
        if [ "$running" != true ]; then
            say "the container ended before it could be used"
            return 1
        fi
        if [ "$(date +%s)" -ge "$deadline" ]; then
            say "the container could not be used within 60 s"
            return 1
        fi
        sleep 0.1
    done
}

trap end EXIT
trap 'exit 130' INT TERM
# shellcheck disable=SC2086  # options are words
docker run --detach --name "$NAME" --publish "127.0.0.1::$port" ${options:-} "$IMAGE" >/dev/null
await
check first
if [ "${RESTART:-}" = 1 ]; then
    docker restart --time 20 "$NAME" >/dev/null
    await
    check again
fi
