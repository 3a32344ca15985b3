# An image of about 1 GiB, in layers as applications have them: a system, its
# packages, data that does not compress, data that does.
ARG BASE
FROM $BASE
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    gcc git libc6-dev nginx-light nodejs perl python3 \
 && rm -rf /var/lib/apt/lists/*
# Always the same numbers, so that sizes can be compared from run to run.
RUN python3 -c 'import os, random; r = random.Random(1); os.makedirs("/srv/media"); \
    [open(f"/srv/media/{n}.bin", "wb").write(r.randbytes(1 << 20)) for n in range(200)]'
RUN python3 -c 'import os, random; r = random.Random(2); os.makedirs("/srv/text"); \
    words = [f"{r.getrandbits(40):x}" for n in range(2000)]; \
    [open(f"/srv/text/{n}.json", "w").write(" ".join(r.choices(words, k=40000))) for n in range(500)]'
