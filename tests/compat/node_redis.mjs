import { createClient, RESP_TYPES } from 'redis';
import { assert, binary, host, large, port, run } from './suite.mjs';

// RESP undefined: the client's own default, whatever it is.
for (const RESP of [undefined, 2, 3]) {
  const options = { socket: { host, port } };
  if (RESP !== undefined) options.RESP = RESP;
  const client = createClient(options);
  client.on('error', (error) => { console.error(error); process.exitCode = 1; });
  await client.connect();
  const buffers = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  const p = `node-redis:${RESP}:`;
  const cases = {
    'ping': async () => assert.equal(await client.ping(), 'PONG'),
    'set and get': async () => {
      assert.equal(await client.set(p + 'a', 'value'), 'OK');
      assert.equal(await client.get(p + 'a'), 'value');
      assert.equal(await client.get(p + 'none'), null);
    },
    'options of set': async () => {
      assert.equal(await client.set(p + 'b', '1', { condition: 'NX', expiration: { type: 'EX', value: 100 } }), 'OK');
      assert.equal(await client.set(p + 'b', '2', { condition: 'NX' }), null);
      assert.equal(await client.set(p + 'b', '3', { GET: true }), '1');
      assert.equal(await client.ttl(p + 'b'), -1);
      await client.expire(p + 'b', 500);
      assert.ok((await client.pTTL(p + 'b')) > 400_000);
      assert.equal(await client.persist(p + 'b'), 1);
    },
    'binary and large values': async () => {
      await client.set(p + 'bin', binary);
      assert.deepEqual(await buffers.get(p + 'bin'), binary);
      await client.set(p + 'large', large);
      assert.deepEqual(await buffers.get(p + 'large'), large);
    },
    'a pipeline keeps its order': async () => {
      const names = Array.from({ length: 500 }, (_, i) => p + 'p' + i);
      await Promise.all(names.map((name, i) => client.set(name, String(i))));
      assert.deepEqual(await Promise.all(names.map((name) => client.get(name))), names.map((_, i) => String(i)));
      assert.equal(await client.del(names), 500);
    },
    'cas and getv': async () => {
      // A key created anew starts above every version it ever had, so the first is not always 1.
      const [won, first] = await client.sendCommand(['CAS', p + 'c', '0', 'one']);
      assert.equal(won, 1);
      assert.deepEqual(await client.sendCommand(['CAS', p + 'c', String(first), 'two']), [1, first + 1]);
      assert.deepEqual(await client.sendCommand(['CAS', p + 'c', String(first), 'three']), [0, first + 1]);
      assert.deepEqual(await client.sendCommand(['GETV', p + 'c']), ['two', first + 1]);
    },
    'errors leave the connection': async () => {
      await assert.rejects(client.sendCommand(['NOSUCH', 'x']), /unknown command/);
      await assert.rejects(client.sendCommand(['GET']), /wrong number of arguments/);
      assert.equal(await client.ping(), 'PONG');
    },
    'info and client': async () => {
      assert.match(await client.info(), /redis_version:7/);
      assert.equal(await client.clientSetName('me'), 'OK');
      assert.equal(await client.clientGetName(), 'me');
    },
  };
  const wrapped = Object.fromEntries(Object.entries(cases).map(([k, v]) => [`RESP ${RESP ?? 'default'}, ${k}`, v]));
  globalThis.all = { ...(globalThis.all ?? {}), ...wrapped, [`RESP ${RESP ?? 'default'}, close`]: () => client.close() };
}
await run('node-redis', globalThis.all);
