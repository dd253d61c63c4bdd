#!/usr/bin/env bash
# Debian's Electrum, from its command line, lives on our Electrum port: opens a wallet, receives,
# sends, sees its history before and after the block. Installs the package `electrum` if it is not
# there (as root); everything else goes to a temporary folder.
. "$(dirname "$0")/devnet.sh"
if ! command -v electrum > /dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends electrum
fi
e() { electrum --regtest -D "$work/electrum" "$@"; }
leave_client() { e stop > /dev/null 2>&1; }

echo "electrum $(e version --offline 2> /dev/null | tail -1) at $electrum"
e create --offline > /dev/null
e daemon -d --oneserver --server "$electrum:t" > /dev/null
e load_wallet > /dev/null
until_says '"connected": true' e getinfo
address=$(e getunusedaddress)
received=$(faucet "$address" 0.5btc | grep -o '[0-9a-f]\{64\}' | head -1)
until_says "$received" e onchain_history
until_says '"unconfirmed": "0.5"' e getbalance
echo "received 0.5 btc in $received, final and in no block"
tick 1
until_says '"confirmed": "0.5"' e getbalance
echo "sealed: confirmed 0.5 btc"

to=$(e createnewaddress)
elsewhere=bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080
sent=$(e broadcast "$(e payto "$elsewhere" 0.125 --feerate 2)")
until_says "$sent" e onchain_history
echo "sent 0.125 btc in $sent, final and in no block"
tick 1
until_says '"confirmed": "0.374' e getbalance

count=$(e onchain_history | grep -c '"txid"')
[ "$count" = 2 ] || { echo "history has $count transactions, not 2"; exit 1; }
echo "history: $count transactions; next address $to"
echo "electrum: PASSED"
