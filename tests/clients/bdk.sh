#!/usr/bin/env bash
# PyPI's `bdkpython`: one wallet over Electrum and the same over Esplora receive, send and agree.
# Installs the package into a temporary folder; needs Python 3.
. "$(dirname "$0")/devnet.sh"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet bdkpython==3.1.1
cp "$here/bdk.py" "$work/"
cd "$work"
MEANWHILE=$mw URL=$url ELECTRUM=$electrum "$work/venv/bin/python" bdk.py
echo "bdk: PASSED"
