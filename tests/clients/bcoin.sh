#!/usr/bin/env bash
# bcoin, a Bitcoin full node that was written by others, syncs from our port on Bitcoin's network,
# checks every block by its own rules, follows new ones, and relays a payment of its own wallet.
# Installs the npm package into a temporary folder; needs node 18 or newer.
. "$(dirname "$0")/devnet.sh"
# Without its native parts: they are for speed and for databases on disk, which this does not need.
(cd "$work" && npm install --silent --no-audit --no-fund --ignore-scripts bcoin@1.0.2 > /dev/null)
cp "$here/bcoin.cjs" "$work/"
cd "$work"
MEANWHILE="$mw" URL="$url" PEER="$bitcoin_p2p" NODE_BACKEND=js node bcoin.cjs
echo "bcoin: PASSED"
