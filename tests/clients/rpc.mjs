// Run by rpc.sh: what is final and in no block yet, over the npm client `bitcoin-core`.
import assert from 'node:assert';
import {readFileSync} from 'node:fs';
import Client from 'bitcoin-core';

const {RPC, COOKIE, TXID} = process.env;
const [username, password] = readFileSync(COOKIE, 'utf8').split(':');
const client = new Client({host: RPC, username, password});

const info = await client.getBlockchainInfo();
assert.equal(info.chain, 'regtest');
assert.equal(await client.getBlockCount(), info.blocks);
const hash = await client.getBlockHash(info.blocks);
assert.equal(hash, await client.getBestBlockHash());
assert.equal((await client.getBlock(hash, 2)).tx.length, (await client.getBlockHeader(hash)).nTx);
assert.deepEqual(await client.getRawMempool(), [TXID]);
assert.ok((await client.getMempoolEntry(TXID)).fees.base > 0);
const raw = await client.getRawTransaction(TXID, true);
assert.ok(raw.vout.some(output => output.value === 0.25));
assert.equal(await client.sendRawTransaction(raw.hex), TXID);
assert.equal((await client.testMempoolAccept([raw.hex]))[0].allowed, false);
assert.ok((await client.estimateSmartFee(6)).feerate > 0);
await assert.rejects(client.getBlockHash(1e6), error => error.code === -8);
const batch = await client.command([
  {method: 'getblockcount', parameters: []},
  {method: 'getnetworkinfo', parameters: []},
]);
assert.equal(batch[0], info.blocks);
console.log(`bitcoin-core (npm): ${batch[1].subversion} at ${info.blocks}, ${TXID} waits`);
