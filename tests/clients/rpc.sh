#!/usr/bin/env bash
# The npm client `bitcoin-core` and PyPI's `python-bitcoinlib` on our RPC port. Installs both into a
# temporary folder; needs node 18 or newer and Python 3.
. "$(dirname "$0")/devnet.sh"
(cd "$work" && npm install --silent --no-audit --no-fund bitcoin-core@5.0.0 > /dev/null)
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet python-bitcoinlib==0.12.2
address=bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080
txid=$(faucet "$address" 0.25btc | grep -o '[0-9a-f]\{64\}' | head -1)
until_says '"final"' curl -s "$url/v1/tx/$txid"
cp "$here/rpc.mjs" "$here/rpc.py" "$work/"
cd "$work"
export RPC=$rpc COOKIE=$rpc_cookie TXID=$txid URL=$url
node rpc.mjs
tick 1
"$work/venv/bin/python" rpc.py
echo "rpc: PASSED"
