// What each npm client's script shares: where the proxy is, and a runner that prints each case.
import assert from 'node:assert/strict';

export { assert };
export const host = process.env.PROXY_HOST;
export const port = Number(process.env.PROXY_PORT);

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

// Every byte value, so that nothing on the way may treat it as text.
export const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
export const large = Buffer.alloc(3 * 1024 * 1024 + 17, 'large value ');
