# CPython's own regression tests, as Debian packages them, for the image's own
# Python. They are compiled here, so that a run does not begin with it; a few
# are wrong on purpose, and do not compile.
ARG BASE
FROM $BASE
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 \
 && apt-get install -y --no-install-recommends \
    "lib$(basename "$(readlink /usr/bin/python3)")-testsuite" \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m compileall -q -j 0 "$(python3 -c 'import test; print(test.__path__[0])')" \
    > /dev/null 2>&1 || true
# The same order of sets and the same numbers in every run.
ENV PYTHONHASHSEED=0 LANG=C.UTF-8
