// What each npm client's script shares: where the proxy is, and a runner that prints each case.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';

export { assert };
export const host = process.env.PROXY_HOST;
export const port = Number(process.env.PROXY_PORT);
export const tlsPort = Number(process.env.PROXY_TLS_PORT);
export const unix = process.env.PROXY_UNIX;
export const ca = fs.readFileSync(process.env.PROXY_CA);
export const cert = fs.readFileSync(process.env.PROXY_CLIENT_CERT);
export const key = fs.readFileSync(process.env.PROXY_CLIENT_KEY);

export async function run(name, cases) {
  let failed = 0;
  for (const [title, body] of Object.entries(cases)) {
    try {
      await body();
      console.log(`ok   ${name}: ${title}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${name}: ${title}: ${error.stack}`);
    }
  }
  console.log(`${name}: ${Object.keys(cases).length - failed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}

// Ends the proxy and waits until another is in its place.
export function restartProxy() {
  return new Promise((resolve, reject) => {
    let text = '';
    const control = net.connect(process.env.PROXY_RESTART);
    control.on('data', (data) => { text += data; });
    control.on('error', reject);
    control.on('close', () => (text === 'ready\n' ? resolve() : reject(new Error(text))));
  });
}

// Six clients of `open` raise one number 40 times each; a step that lost (it resolves to false) is
// tried again. In the end nothing is missing.
export async function countUp(client, open, name, step) {
  await client.set(name, '0');
  const clients = await Promise.all(Array.from({ length: 6 }, () => open()));
  await Promise.all(clients.map(async (one) => {
    for (let done = 0; done < 40;) if (await step(one, name)) done += 1;
  }));
  assert.equal(await client.get(name), '240');
}

export async function collect(iterable) {
  const all = [];
  for await (const part of iterable) all.push(...part);
  return all;
}

// Every byte value, so that nothing on the way may treat it as text.
export const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
export const large = Buffer.alloc(3 * 1024 * 1024 + 17, 'large value ');
