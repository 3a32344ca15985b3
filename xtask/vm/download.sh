#!/bin/sh
# A hook of mmdebstrap, which knows how to reach Debian's archive from any
# distribution: downloads into VM_DIRECTORY the kernel that the metapackage
# VM_PACKAGE stands for.
set -eu
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
package=$(apt-cache depends "$VM_PACKAGE" | sed -n 's/^ *Depends: \(linux-image-.*\)$/\1/p')
cd "$VM_DIRECTORY"
# The directory is the caller's alone, apt's own user has no way into it.
apt-get --quiet --quiet --option APT::Sandbox::User=root download "$package"
