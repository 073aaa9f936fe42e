// ioredis and its fork iovalkey have one interface.
import { assert, binary, host, large, port, run } from './suite.mjs';

export async function exerciseIoredis(name, Redis) {
  const client = new Redis({ host, port });
  const pipelining = new Redis({ host, port, enableAutoPipelining: true });
  const p = name + ':';
  await run(name, {
    'ping': async () => assert.equal(await client.ping(), 'PONG'),
    'set, get, del': async () => {
      assert.equal(await client.set(p + 'a', 'value', 'EX', 1000), 'OK');
      assert.equal(await client.get(p + 'a'), 'value');
      assert.ok((await client.ttl(p + 'a')) > 900);
      assert.equal(await client.exists(p + 'a', p + 'none'), 1);
      assert.equal(await client.del(p + 'a', p + 'none'), 1);
      assert.equal(await client.get(p + 'a'), null);
    },
    'binary and large values': async () => {
      await client.set(p + 'bin', binary);
      assert.deepEqual(await client.getBuffer(p + 'bin'), binary);
      await client.set(p + 'large', large);
      assert.deepEqual(await client.getBuffer(p + 'large'), large);
    },
    'pipeline': async () => {
      const pipeline = client.pipeline();
      for (let i = 0; i < 300; i += 1) pipeline.set(p + 'p', String(i)).get(p + 'p');
      const replies = await pipeline.exec();
      for (let i = 0; i < 300; i += 1) assert.deepEqual(replies[2 * i + 1], [null, String(i)]);
    },
    'automatic pipelining': async () => {
      const names = Array.from({ length: 200 }, (_, i) => p + 'auto' + i);
      await Promise.all(names.map((key, i) => pipelining.set(key, String(i))));
      assert.deepEqual(await Promise.all(names.map((key) => pipelining.get(key))), names.map((_, i) => String(i)));
    },
    'cas and getv': async () => {
      // A key created anew starts above every version it ever had, so the first is not always 1.
      const [won, first] = await client.call('CAS', p + 'c', 0, 'one');
      assert.equal(won, 1);
      assert.deepEqual(await client.call('CAS', p + 'c', first + 7, 'two'), [0, first]);
      assert.deepEqual(await client.call('GETV', p + 'c'), ['one', first]);
      assert.equal(await client.call('GETV', p + 'none'), null);
    },
    'errors leave the connection': async () => {
      await assert.rejects(client.call('NOSUCH', 'x'), /unknown command/);
      assert.equal(await client.ping(), 'PONG');
    },
    'close': async () => { await client.quit(); await pipelining.quit(); },
  });
}
