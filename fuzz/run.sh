#!/bin/sh
# Fuzzes one target for some seconds: ./run.sh TARGET [SECONDS] [libFuzzer options]
#
# The stable compiler is enough: LLVM's coverage pass is asked for by ordinary code generation
# flags, and the code under test is safe Rust, so there is no need for a sanitizer. `--target` keeps
# the flags away from build scripts and macros.
set -eu
cd "$(dirname "$0")"
target=${1:?usage: ./run.sh TARGET [SECONDS] [libFuzzer options]}
seconds=${2:-60}
shift; [ $# -eq 0 ] || shift

host=$(rustc -vV | sed -n 's/^host: //p')
build=${CARGO_TARGET_DIR:-target}
case $target in
    config | electrum | bitcoin_p2p) features="--features node" ;;
    *) features= ;;
esac

cargo run --quiet --bin seeds -- corpus

RUSTFLAGS="-Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares \
-Ccodegen-units=1" \
    cargo build --release --target "$host" $features --bin "$target"

mkdir -p "corpus/$target" "artifacts/$target"
exec "$build/$host/release/$target" "corpus/$target" \
    -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 \
    -artifact_prefix="artifacts/$target/" "$@"
