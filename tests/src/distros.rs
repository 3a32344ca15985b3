//! Images whose packages are known: one of each kind of package database.

use std::fs;
use std::path::Path;

use crate::engine::Image;
use crate::fixture;
use crate::images::{base, build};

/// Copies fixtures into a build context.
fn fixtures(context: &Path, names: &[&str]) {
    for name in names {
        fs::copy(fixture(name), context.join(name)).expect("a fixture copied");
    }
}

/// Debian's packages as distroless images have them: unpacked, with files in
/// `status.d`. jq runs; netbase and tzdata are not needed.
#[track_caller]
pub fn distroless() -> Image {
    let dockerfile = format!(
        "FROM {} AS build\n\
         RUN apt-get update\n\
         COPY distroless-root.sh /tmp/\n\
         RUN /tmp/distroless-root.sh /out base-files libc6 libjq1 libonig5 jq tzdata netbase\n\
         FROM scratch\n\
         COPY --from=build /out /\n\
         CMD [\"/usr/bin/jq\", \"--raw-input\", \".\", \"/etc/os-release\"]\n",
        base()
    );
    build("distroless", &dockerfile, |context| fixtures(context, &["distroless-root.sh"]))
}

/// musl, busybox and a program linked with musl, under apk's database.
#[track_caller]
pub fn alpine() -> Image {
    let dockerfile = format!(
        "FROM {} AS build\n\
         RUN apt-get update \\\n \
          && apt-get install -y --no-install-recommends busybox-static gcc musl-tools\n\
         COPY greet.c apk-root.sh /tmp/\n\
         RUN musl-gcc -O2 -o /tmp/greet /tmp/greet.c && /tmp/apk-root.sh /out\n\
         FROM scratch\n\
         COPY --from=build /out /\n\
         CMD [\"/bin/sh\", \"-c\", \"greet\"]\n",
        base()
    );
    build("alpine", &dockerfile, |context| fixtures(context, &["apk-root.sh", "greet.c"]))
}

/// Packages made by rpmbuild and installed by rpm. The second image is the
/// stage that made them: it has rpm itself.
#[track_caller]
pub fn fedora() -> (Image, Image) {
    let stage = format!(
        "FROM {}\n\
         RUN apt-get update \\\n \
          && apt-get install -y --no-install-recommends gcc libc6-dev rpm\n\
         COPY greet.c rpm-root.sh /tmp/\n\
         RUN mkdir -p /usr/lib64 \\\n \
          && cp /lib/x86_64-linux-gnu/libc.so.6 /lib/x86_64-linux-gnu/libm.so.6 /usr/lib64/ \\\n \
          && gcc -O2 -Wl,-rpath,/usr/lib64 -o /tmp/greet /tmp/greet.c && /tmp/rpm-root.sh /out\n",
        base()
    );
    let stage = build("rpm-build", &stage, |context| {
        fixtures(context, &["rpm-root.sh", "greet.c"]);
    });
    let dockerfile =
        format!("FROM scratch\nCOPY --from={} /out /\nCMD [\"/usr/bin/greet\"]\n", stage.name);
    (build("fedora", &dockerfile, |_| {}), stage)
}
