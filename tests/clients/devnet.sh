# Sourced by the checks beside it: a development network of one's own in a temporary folder, ended
# with the script. Sets $work, $port, $mw, $url, $electrum, $rpc, $rpc_cookie,
# $bitcoin_p2p; gives tick, faucet, until_says.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mw=${MEANWHILE_BIN:-}
if [ -z "$mw" ]; then
    (cd "$here/../.." && cargo build --quiet --release)
    mw=${CARGO_TARGET_DIR:-$here/../../target}/release/meanwhile
fi
work=$(mktemp -d)
port=${PORT:-$((20000 + $$ % 900 * 10))}
url=http://127.0.0.1:$port
"$mw" devnet --dir "$work/net" --http-port "$port" --block-interval 1h --json \
    > "$work/state.json" 2> "$work/devnet.log" &
network=$!
leave() {
    trap - EXIT
    if declare -F leave_client > /dev/null; then leave_client || true; fi
    "$mw" devnet stop --dir "$work/net" > /dev/null 2>&1 || kill "$network" 2> /dev/null || true
    wait "$network" 2> /dev/null || true
    rm -rf "$work"
}
trap leave EXIT
trap 'echo "FAILED in line $LINENO"; tail -5 "$work/devnet.log"' ERR
for _ in $(seq 600); do [ -s "$work/state.json" ] && break; sleep 0.2; done
[ -s "$work/state.json" ] || { cat "$work/devnet.log"; exit 1; }
field() { python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["validators"][int(sys.argv[2])][sys.argv[3]])' "$work/state.json" "$1" "$2"; }
electrum=$(field 0 electrum)
bitcoin_p2p=$(field 0 bitcoin_p2p)
rpc=$(field 0 rpc)
rpc_cookie=$(field 0 rpc_cookie)
tick() { "$mw" devnet tick "${1:-1}" --url "$url"; }
faucet() { "$mw" faucet "$1" "$2" --url "$url"; }
# until_says WANTED COMMAND...: asks until the output holds a text, for at most a minute.
until_says() {
    wanted=$1; shift
    for _ in $(seq 300); do
        said=$("$@" 2>&1 || true)
        case $said in *"$wanted"*) return 0 ;; esac
        sleep 0.2
    done
    echo "never said \"$wanted\": $* said: $said"
    return 1
}
