'use strict';
// Run by bcoin.sh. Databases are in memory, so the one on disk is never opened.
const Module = require('module');
const load = Module._load;
Module._load = function stub(name, ...rest) {
  return name === 'leveldown' ? function absent() {} : load.call(this, name, ...rest);
};
const {execFileSync} = require('child_process');
const assert = require('assert');
const bcoin = require('bcoin');

const {MEANWHILE, URL: url, PEER: peer} = process.env;
const PATIENCE_MS = 120000;
const meanwhile = (...args) => execFileSync(MEANWHILE, [...args, '--url', url]).toString();
const api = async path => (await fetch(`${url}${path}`)).text();
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

async function until(what, ask) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await ask();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what} did not come in time`);
    await sleep(100);
  }
}

async function main() {
  const network = bcoin.Network.get('regtest');
  // Core's regtest has these from the first block; bcoin's waits for signals of miners.
  network.block.bip34height = 1;
  // Core's regtest addresses begin in another way too.
  network.addressPrefix.bech32 = 'bcrt';
  const node = new bcoin.FullNode({
    network: 'regtest', memory: true, workers: false, listen: false, only: [peer],
    logLevel: 'error',
  });
  node.use(bcoin.wallet.plugin);
  await node.ensure();
  const state = node.chain.getState.bind(node.chain);
  const {ACTIVE} = bcoin.blockchain.common.thresholdStates;
  node.chain.getState = async (prev, deployment) =>
    (['csv', 'segwit'].includes(deployment.name) ? ACTIVE : state(prev, deployment));
  await node.open();
  await node.connect();
  node.startSync();

  const same = async () => (await api('/api/blocks/tip/hash')) === node.chain.tip.rhash();
  const began = Date.now();
  await until('the tip', same);
  console.log(`synced ${node.chain.height} blocks in ${(Date.now() - began) / 1000} s`);

  const wallet = await node.require('walletdb').wdb.primary;
  await wallet.createAccount({name: 'witness', witness: true});
  const address = (await wallet.receiveAddress('witness')).toString('regtest');
  meanwhile('faucet', address, '0.5btc');
  await until('the payment in a final state', async () =>
    JSON.parse(await api(`/api/address/${address}`)).mempool_stats.tx_count > 0);
  meanwhile('devnet', 'tick', '3');
  await until('the new tip', same);
  await until('the coin', async () => (await wallet.getBalance()).confirmed === 50000000);
  console.log(`followed to ${node.chain.height}; its wallet has 0.5 btc`);

  const sent = await wallet.send({
    outputs: [{address: 'bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080', value: 12500000}],
    rate: 5000,
    account: 'witness',
  });
  await until('the relayed payment', async () =>
    JSON.parse(await api(`/v1/tx/${sent.txid()}`)).status === 'final');
  meanwhile('devnet', 'tick', '1');
  await until('its block', same);
  const tip = await node.chain.getBlock(node.chain.tip.hash);
  assert(tip.txs.some(tx => tx.txid() === sent.txid()));
  console.log(`relayed ${sent.txid()}; sealed at ${node.chain.height} and accepted`);
  await node.close();
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
