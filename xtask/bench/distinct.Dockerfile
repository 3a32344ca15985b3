# As many distinct files as asked for, empty: a million with content would
# take four gigabytes of blocks.
ARG BASE
FROM ${BASE}
ARG FILES
RUN /bench/workload make /bench/distinct ${FILES} 0
