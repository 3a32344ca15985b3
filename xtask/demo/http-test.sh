#!/bin/sh
# A small HTTP test of the nginx image given as $1: starts a container, asks
# for the front page and for a page that is not there, checks both answers.
set -eu

container=$(docker run --detach --publish 127.0.0.1::80 "$1")
trap 'docker rm --force "$container" >/dev/null' EXIT
trap 'exit 130' INT TERM
address=$(docker port "$container" 80 | head -n 1)

tries=0
until curl --silent --output /dev/null "http://$address/"; do
    tries=$((tries + 1))
    if [ "$tries" -ge 50 ]; then
        echo "nginx did not answer on $address; its log:" >&2
        docker logs "$container" >&2
        exit 1
    fi
    sleep 0.1
done

curl --fail --silent --show-error "http://$address/" | grep -q 'Welcome to nginx!'
status=$(curl --silent --output /dev/null --write-out '%{http_code}' "http://$address/absent")
test "$status" = 404
echo "HTTP test of $1: front page served, absent page answered with 404"
