# Run by bdk.sh.
import os
import subprocess
import time
import bdkpython as bdk

URL, ELECTRUM, MEANWHILE = (os.environ[name] for name in ("URL", "ELECTRUM", "MEANWHILE"))
NETWORK = bdk.Network.REGTEST
KIND = bdk.NetworkKind.TEST


def meanwhile(*arguments):
    subprocess.run([MEANWHILE, *arguments, "--url", URL], check=True, stdout=subprocess.DEVNULL)


def wallet(seed):
    mnemonic = bdk.Mnemonic.from_entropy(bytes([seed]) * 16)
    secret = bdk.DescriptorSecretKey(KIND, mnemonic, None)
    kinds = (bdk.KeychainKind.EXTERNAL, bdk.KeychainKind.INTERNAL)
    external, internal = (bdk.Descriptor.new_bip84(secret, kind, KIND) for kind in kinds)
    return bdk.Wallet(external, internal, NETWORK, bdk.Persister.new_in_memory())


def history(one):
    return sorted(
        (str(tx.transaction.compute_txid()), type(tx.chain_position).__name__)
        for tx in one.transactions()
    )


def scan(one, client, electrum):
    request = one.start_full_scan().build()
    if electrum:
        update = client.full_scan(request, 5, 5, True)
    else:
        update = client.full_scan(request, 5, 2)
    one.apply_update(update)
    return one.balance()


def until(what, ask):
    for _ in range(300):
        if ask():
            return
        time.sleep(0.2)
    raise SystemExit(f"{what} did not come in time")


electrum = bdk.ElectrumClient(f"tcp://{ELECTRUM}")
esplora = bdk.EsploraClient(f"{URL}/api")
first, second = wallet(1), wallet(1)
address = first.reveal_next_address(bdk.KeychainKind.EXTERNAL).address
meanwhile("faucet", str(address), "0.5btc")
until("the coin", lambda: scan(first, electrum, True).total.to_sat() == 50_000_000)
assert scan(second, esplora, False).total.to_sat() == 50_000_000
assert history(first) == history(second) and len(history(first)) == 1
print("received 0.5 btc, final and in no block: seen over Electrum and over Esplora")
meanwhile("devnet", "tick", "1")
until("the block", lambda: scan(first, electrum, True).confirmed.to_sat() == 50_000_000)

to = bdk.Address("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", NETWORK)
builder = bdk.TxBuilder().add_recipient(to.script_pubkey(), bdk.Amount.from_sat(12_500_000))
psbt = builder.fee_rate(bdk.FeeRate.from_sat_per_vb(2)).finish(first)
assert first.sign(psbt)
payment = psbt.extract_tx()
electrum.transaction_broadcast(payment)
until("the payment", lambda: scan(second, esplora, False).total.to_sat() < 38_000_000)
meanwhile("devnet", "tick", "1")
until("its block", lambda: scan(first, electrum, True).trusted_pending.to_sat() == 0)
scan(second, esplora, False)
assert history(first) == history(second) and len(history(first)) == 2, (history(first), history(second))
assert first.balance().confirmed.to_sat() == second.balance().confirmed.to_sat()
print(f"sent 0.125 btc in {payment.compute_txid()}; both wallets have {first.balance().confirmed.to_sat()} sat")
