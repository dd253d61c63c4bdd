# Run by rpc.sh: the same payment once it is sealed, over python-bitcoinlib.
import os
import bitcoin
import bitcoin.rpc
from bitcoin.core import lx, b2lx

bitcoin.SelectParams("regtest")
with open(os.environ["COOKIE"]) as file:
    password = file.read()
proxy = bitcoin.rpc.Proxy(service_url=os.environ["RPC"].replace("http://", f"http://{password}@"))
height = proxy.getblockcount()
block = proxy.getblock(proxy.getblockhash(height))
names = [b2lx(tx.GetTxid()) for tx in block.vtx]
assert os.environ["TXID"] in names, names
output = proxy.gettxout(bitcoin.core.COutPoint(lx(os.environ["TXID"]), 0))
assert output is None or output["confirmations"] == 1, output
assert proxy.getrawmempool() == []
print(f"python-bitcoinlib: {os.environ['TXID']} is in block {height}")
