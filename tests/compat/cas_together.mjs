// As cas_together.py, which tells more.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from 'redis';

const parties = Number(process.env.PROXY_PARTIES);
const steps = 300;
const key = 'cas-together';
const client = await createClient({
  socket: { host: process.env.PROXY_HOST, port: Number(process.env.PROXY_PORT) },
}).connect();

async function waitForAll(name) {
  await client.incr(name);
  while (Number(await client.get(name)) < parties) await sleep(10);
}
async function byCas() {
  const [value, version] = await client.sendCommand(['GETV', key]);
  const next = String(Number(value) + 1);
  return (await client.sendCommand(['CAS', key, String(version), next]))[0] === 1;
}
async function byExcas() {
  const [value, version] = await client.sendCommand(['EXGET', key]);
  const next = String(Number(value) + 1);
  return (await client.sendCommand(['EXCAS', key, next, String(version)]))[0] === 'OK';
}

await client.set(key, 0, { condition: 'NX' });
await waitForAll('cas-together:ready');
let lost = 0;
for (let step = 0; step < steps; ++step) {
  while (!(await (step % 2 ? byCas : byExcas)())) ++lost;
}
await waitForAll('cas-together:done');
assert.equal(await client.get(key), String(parties * steps));
console.log(`node: ${steps} steps, ${lost} lost and tried again`);
client.destroy();
