# shellcheck shell=sh
# The task of `cargo xtask bench tiers`, part of the guest's first process
# (init.sh): loops under each observer. The settings are those of observe.sh.

step prepare cases prepare /image
step measure containers around observe
