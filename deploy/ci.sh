#!/usr/bin/env bash
# The steps of a CI job; deploy/github/action.yml and
# deploy/gitlab/profiler.gitlab-ci.yml call it, and docs/ci.md describes it.
#
#   ci.sh build       builds the profiler, unless PROFILER_CI_BINARY names one
#   ci.sh profile     runs the tests under it
#   ci.sh minimize    makes the small image
#   ci.sh summary     says in Markdown what was done, or why not
#
# Settings come from the environment and are never part of a script's text:
# what is in them is not expanded.
#
#   PROFILER_CI_IMAGE      the image, as its engine knows it
#   PROFILER_CI_RUN        the test command, a bash script
#   PROFILER_CI_OUTPUT     where the small image goes
#   PROFILER_CI_ARGS       more arguments of `profiler minimize`, split at blanks
#   PROFILER_CI_FAIL_ON    gates, as of `profiler minimize --fail-on`
#   PROFILER_CI_DIRECTORY  where files go; without it a new one
#   PROFILER_CI_PROFILE    where the profile goes; without it, there
#   PROFILER_CI_REPORT     where the report goes; without it, there
#   PROFILER_CI_BINARY     an installed profiler
set -euo pipefail

home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

image=${PROFILER_CI_IMAGE:-}
tests=${PROFILER_CI_RUN:-}
output=${PROFILER_CI_OUTPUT:-}
arguments=${PROFILER_CI_ARGS:-}
gates=${PROFILER_CI_FAIL_ON:-}
directory=${PROFILER_CI_DIRECTORY:-}
profile=${PROFILER_CI_PROFILE:-}
report=${PROFILER_CI_REPORT:-}
binary=${PROFILER_CI_BINARY:-}

# fail WHY [STATUS]: ends the step; the summary tells WHY.
fail() {
    local why=${1//$'\n'/ }
    if [[ -n $directory && -d $directory ]]; then
        printf '%s\n' "$why" >"$directory/failed"
    fi
    if [[ -n ${GITHUB_ACTIONS:-} ]]; then
        printf '::error title=profiler::%s\n' "${why//%/%25}" >&2
    else
        printf 'profiler: %s\n' "$why" >&2
    fi
    exit "${2:-1}"
}

# output NAME VALUE: an output of this step, whatever the value holds.
output() {
    [[ -n ${GITHUB_OUTPUT:-} ]] || return 0
    local delimiter
    delimiter=end-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s<<%s\n%s\n%s\n' "$1" "$delimiter" "$2" "$delimiter" >>"$GITHUB_OUTPUT"
}

# A path that holds in every directory.
absolute() {
    if [[ $1 == /* ]]; then printf '%s' "$1"; else printf '%s' "$PWD/$1"; fi
}

places() {
    [[ -n $image ]] || fail 'no image is named; say which one the tests run (input "image")' 2
    if [[ -z $directory ]]; then
        directory=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/profiler.XXXXXX")
    fi
    directory=$(absolute "$directory")
    profile=$(absolute "${profile:-$directory/profile.json}")
    report=$(absolute "${report:-$directory/report.json}")
    mkdir -p "$directory" "$(dirname "$profile")" "$(dirname "$report")"
}

find_binary() {
    binary=$(absolute "${binary:-${CARGO_TARGET_DIR:-$home/target}/release/profiler}")
    [[ -x $binary ]] || fail "$binary is not there; build it with \`ci.sh build\`, or name another (input \"binary\")" 2
}

build() {
    [[ -z $binary ]] || return 0
    cd "$home"
    cargo xtask setup
    cargo build --release --package profiler
}

# What `docker run` and `podman run` call the image.
engine_name() {
    case $1 in
    docker-daemon:* | containers-storage:*) printf '%s' "${1#*:}" ;;
    docker://*) printf '%s' "${1#docker://}" ;;
    docker-archive:* | oci:* | oci-archive:*)
        fail "$1 is a file; load it, and name the image as the engine knows it" 2
        ;;
    *) printf '%s' "$1" ;;
    esac
}

# NAME:TAG-min beside NAME:TAG, NAME:min beside NAME.
default_output() {
    local name
    name=$(engine_name "$1")
    case ${name##*/} in
    *@* | sha256:*) fail "$1 has no tag to go beside; say where the small image goes (input \"output\")" 2 ;;
    *:*) printf 'docker-daemon:%s-min' "$name" ;;
    *) printf 'docker-daemon:%s:min' "$name" ;;
    esac
}

profile() {
    places
    output directory "$directory"
    find_binary
    [[ -n $tests ]] || fail 'there are no tests; say what to run (input "run")' 2
    local watched script environment status=0
    watched=$(engine_name "$image")
    # Nothing of an earlier job may pass for this one's.
    rm -f "$profile" "$report" "$directory/failed" "$directory/profiler.env"
    output profile "$profile"
    output report "$report"
    script=$directory/tests.sh
    printf '%s\n' "$tests" >"$script"
    # What we were started with, whatever this script has set since. Secrets
    # may be in it.
    environment=$directory/environment
    (umask 077 && cat "/proc/$$/environ" >"$environment")
    local -a run=("$binary" run "--image=$watched" --force "--output=$profile" --)
    local -a before=("$BASH" "${BASH_SOURCE[0]}" as-before "$environment" "$(umask)" "$script")
    if ((EUID == 0)); then
        "${run[@]}" "${before[@]}" || status=$?
    else
        as_root_around || status=$?
    fi
    rm -f "$environment"
    [[ ! -d $profile ]] || fail "several images ran as $watched; their profiles are in $profile: give them names of their own"
    if ((status == 125)); then
        fail 'the profiler failed, or the tests returned 125; see the log and "profiler doctor"' 125
    fi
    ((status == 0)) || fail "the tests failed with status $status" "$status"
    [[ -s $profile ]] || fail "the tests started no container of $watched"
}

# The profiler as root, the tests below it as who we are, groups included.
as_root_around() {
    local status=0
    sudo --non-interactive true || fail 'profiling needs root; let this user call sudo without a password' 2
    sudo --non-interactive \
        --preserve-env=DOCKER_HOST,CONTAINERD_ADDRESS,CONTAINER_RUNTIME_ENDPOINT,XDG_RUNTIME_DIR \
        "${run[@]}" \
        setpriv "--reuid=$(id -u)" "--regid=$(id -g)" "--groups=$(id -G | tr ' ' ',')" \
        "${before[@]}" || status=$?
    [[ ! -e $profile ]] || sudo --non-interactive chown -R "$(id -u):$(id -g)" "$profile"
    return "$status"
}

# as-before ENVIRONMENT UMASK SCRIPT: the tests as they run without a
# profiler. sudo leaves neither environment nor umask alone.
as_before() {
    local -a given kept
    local name
    mapfile -d '' -t given <"$1"
    for name in "${given[@]}"; do
        [[ $name == PROFILER_CI_* ]] || kept+=("$name")
    done
    # What the profiler itself tells its command.
    for name in "${!PROFILER_@}"; do
        [[ $name == PROFILER_CI_* ]] || kept+=("$name=${!name}")
    done
    umask "$2"
    exec env --ignore-environment -- "${kept[@]}" "$BASH" --noprofile --norc -eo pipefail "$3"
}

minimize() {
    places
    find_binary
    local log=$directory/minimize.log why name value
    # Behind "--" would be a command.
    [[ $image != -* ]] || fail "$image is no image: a name does not begin with a dash" 2
    local -a command=("$binary" minimize "$image" "--profile=$profile" "--report=$report" --force)
    [[ -n $output ]] || output=$(default_output "$image")
    command+=("--output=$output")
    [[ -z $gates ]] || command+=("--fail-on=$gates")
    local -a more
    IFS=$' \t\n' read -r -d '' -a more <<<"$arguments" || true
    command+=(${more[@]+"${more[@]}"})
    # stderr is shown and kept, stdout only shown.
    if ! { "${command[@]}" 2>&1 1>&3 | tee "$log" >&2; } 3>&1; then
        # Of wrong arguments the first line says what is wrong.
        why=$(grep -m 1 '^error: ' "$log" || tail -n 1 "$log" | sed 's/^profiler: //')
        fail "${why:-the profiler ended without a word}"
    fi
    output image "${output#docker-daemon:}"
    "$binary" show --format=dotenv "$report" >"$directory/profiler.env"
    while IFS='=' read -r name value; do
        name=${name#PROFILER_}
        name=${name,,}
        output "${name//_/-}" "$value"
    done <"$directory/profiler.env"
}

summary() {
    # Where the steps before this one failed early, the log says all there is.
    [[ -n $image && -n $directory ]] || return 0
    places
    find_binary
    local -a show=("$binary" show --format=markdown)
    [[ ! -s $directory/failed ]] || show+=("--failed=$(<"$directory/failed")")
    for document in "$report" "$profile"; do
        [[ ! -f $document ]] || show+=("$document")
    done
    "${show[@]}" >"$directory/summary.md"
    [[ -z ${GITHUB_STEP_SUMMARY:-} ]] || cat "$directory/summary.md" >>"$GITHUB_STEP_SUMMARY"
    output summary "$directory/summary.md"
}

case ${1:-} in
build | profile | minimize | summary) "$1" ;;
as-before) as_before "${@:2}" ;;
*)
    printf 'usage: ci.sh build|profile|minimize|summary\n' >&2
    exit 2
    ;;
esac
