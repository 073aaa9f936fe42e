import { createClient, createClientPool, ErrorReply, RESP_TYPES, WatchError } from 'redis';
import { assert, binary, ca, cert, collect, countUp, host, key, large, port, restartProxy, run, tlsPort,
  unix } from './suite.mjs';

let client; // with it most cases work; `open` makes others, which end with the case
const opened = [];
let p; // prefix of keys
let base; // options of every client

async function open(options = {}) {
  const { socket, ...others } = options;
  const one = createClient({ ...base, ...others, socket: { host, port, ...socket } });
  one.on('error', () => {}); // what a command met is told by its promise
  opened.push(one);
  return one.connect();
}

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
  'commands of newer versions': async () => {
    await client.set(p + 'n', 'one');
    assert.equal(await client.set(p + 'n', 'two', { condition: 'IFEQ', matchValue: 'no' }), null);
    assert.equal(await client.set(p + 'n', 'two', { condition: 'IFEQ', matchValue: 'one' }), 'OK');
    const digest = await client.digest(p + 'n');
    assert.equal(await client.set(p + 'n', 'three', { condition: 'IFDEQ', matchValue: digest }), 'OK');
    assert.equal(await client.delEx(p + 'n', { condition: 'IFEQ', matchValue: 'two' }), 0);
    assert.equal(await client.delEx(p + 'n', { condition: 'IFEQ', matchValue: 'three' }), 1);
    assert.equal(await client.mSetEx([p + '{x}a', '1', p + '{x}b', '2'],
      { expiration: { type: 'EX', value: 100 }, mode: 'NX' }), 1);
    assert.ok((await client.ttl(p + '{x}b')) > 0);
    await client.del([p + '{x}a', p + '{x}b']);
  },
  'many keys': async () => {
    assert.equal(await client.mSet([[p + 'm1', '1'], [p + 'm2', '2']]), 'OK');
    assert.deepEqual(await client.mGet([p + 'm1', p + 'none', p + 'm2']), ['1', null, '2']);
    assert.equal(await client.exists([p + 'm1', p + 'm2', p + 'none']), 2);
    assert.equal(await client.unlink([p + 'm1', p + 'm2']), 2);
  },
  'numbers and parts': async () => {
    await client.del(p + 'i');
    assert.equal(await client.incrBy(p + 'i', 41), 41);
    assert.equal(await client.incr(p + 'i'), 42);
    assert.equal(await client.incrByFloat(p + 'i', 0.5), '42.5');
    assert.equal(await client.append(p + 'i', 'xyz'), 7);
    assert.equal(await client.getRange(p + 'i', 4, -1), 'xyz');
    assert.equal(await client.getDel(p + 'i'), '42.5xyz');
  },
  'binary and large values, binary keys': async () => {
    const buffers = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    await client.set(p + 'bin', binary);
    assert.deepEqual(await buffers.get(p + 'bin'), binary);
    await client.set(p + 'large', large);
    assert.deepEqual(await buffers.get(p + 'large'), large);
    await client.set(binary, 'by a binary key');
    assert.equal(await client.get(binary), 'by a binary key');
    assert.ok((await buffers.keys('*')).some((name) => name.equals(binary)));
    assert.equal(await client.del(binary), 1);
  },
  'a pipeline keeps its order': async () => {
    const names = Array.from({ length: 500 }, (_, i) => p + 'p' + i);
    await Promise.all(names.map((name, i) => client.set(name, String(i))));
    assert.deepEqual(await Promise.all(names.map((name) => client.get(name))), names.map((_, i) => String(i)));
    assert.equal(await client.del(names), 500);
  },
  'multi as a pipeline': async () => {
    assert.deepEqual(await client.multi().set(p + 'q1', '1').get(p + 'q1').set(p + 'q2', '2').execAsPipeline(),
      ['OK', '1', 'OK']);
  },
  'a transaction': async () => {
    assert.deepEqual(await client.multi().set(p + 't', '5').incr(p + 't').get(p + 't').exec(), ['OK', 6, '6']);
  },
  'a transaction over slots is refused whole': async () => {
    await assert.rejects(client.multi().set(p + 'o1', '5').set(p + 'o2', '6').exec(), /CROSSSLOT/);
    assert.deepEqual(await client.mGet([p + 'o1', p + 'o2']), [null, null]);
  },
  'a transaction with an error': async () => {
    await assert.rejects(client.multi().set(p + 't', 'x').incr(p + 't').get(p + 't').exec(), (error) => {
      assert.deepEqual([error.replies[0], error.replies[2]], ['OK', 'x']);
      assert.ok(error.replies[1] instanceof ErrorReply);
      return true;
    });
  },
  'a refused transaction': async () => {
    await client.set(p + 't', 'before');
    await assert.rejects(client.multi().set(p + 't', 'after').addCommand(['NOSUCH']).exec());
    assert.equal(await client.get(p + 't'), 'before');
  },
  'watch, won': async () => {
    await client.set(p + 'w', '1');
    const own = await open();
    await own.watch(p + 'w');
    assert.deepEqual(await own.multi().incr(p + 'w').exec(), [2]);
  },
  'watch, lost': async () => {
    await client.set(p + 'w', '1');
    const own = await open();
    await own.watch(p + 'w');
    await client.set(p + 'w', '10');
    await assert.rejects(own.multi().incr(p + 'w').exec(), WatchError);
    assert.equal(await own.get(p + 'w'), '10');
  },
  'scan iterator': async () => {
    const names = Array.from({ length: 500 }, (_, i) => p + 'scan:' + i);
    await Promise.all(names.map((name) => client.set(name, '')));
    const found = await collect(client.scanIterator({ MATCH: p + 'scan:*', COUNT: 37, TYPE: 'string' }));
    assert.deepEqual(found.sort(), names.sort());
    assert.deepEqual(await collect(client.scanIterator({ MATCH: p + 'scan:*', TYPE: 'list' })), []);
    assert.equal(await client.del(names), 500);
  },
  'a pool': async () => {
    const pool = createClientPool({ ...base, socket: { host, port } }, { minimum: 2, maximum: 5 });
    await pool.connect();
    await pool.set(p + 'pool', '0');
    await Promise.all(Array.from({ length: 300 }, () => pool.incr(p + 'pool')));
    assert.equal(await pool.get(p + 'pool'), '300');
    assert.deepEqual(await pool.multi().incr(p + 'pool').get(p + 'pool').exec(), [301, '301']);
    await pool.execute(async (one) => {
      await one.watch(p + 'pool');
      assert.deepEqual(await one.multi().incr(p + 'pool').exec(), [302]);
    });
    await pool.close();
  },
  'tls': async () => {
    const own = await open({ socket: { port: tlsPort, tls: true, ca } });
    const buffers = own.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    await own.set(p + 'tls', large);
    assert.deepEqual(await buffers.get(p + 'tls'), large);
    const known = await open({ socket: { port: tlsPort, tls: true, ca, cert, key } });
    assert.equal(await known.ping(), 'PONG');
    // Who has not got the authority's certificate does not trust the proxy.
    await assert.rejects(open({ socket: { port: tlsPort, tls: true, reconnectStrategy: false } }), /certificate/);
  },
  'unix socket': async () => {
    const own = await createClient({ ...base, socket: { path: unix } }).connect();
    assert.equal(await own.set(p + 'u', '1'), 'OK');
    await own.close();
  },
  'password': async () => {
    await client.configSet('requirepass', 'secret word');
    try {
      await assert.rejects(async () => (await open({ socket: { reconnectStrategy: false } })).ping(), /NOAUTH/);
      await assert.rejects(open({ password: 'wrong', socket: { reconnectStrategy: false } }), /WRONGPASS/);
      assert.equal(await (await open({ password: 'secret word' })).aclWhoAmI(), 'default');
    } finally {
      await client.configSet('requirepass', '');
    }
  },
  'a user': async () => {
    await client.aclSetUser('reader', ['on', '>pass', `~${p}open:*`, '+@read', '+@connection']);
    try {
      await client.set(p + 'open:a', '1');
      const reader = await open({ username: 'reader', password: 'pass' });
      assert.equal(await reader.get(p + 'open:a'), '1');
      await assert.rejects(reader.get(p + 'shut'), /NOPERM/);
      await assert.rejects(reader.set(p + 'open:a', '2'), /NOPERM/);
      assert.deepEqual((await client.aclGetUser('reader')).keys, `~${p}open:*`);
    } finally {
      assert.equal(await client.aclDelUser('reader'), 1);
    }
  },
  'errors leave the connection': async () => {
    const id = await client.clientId();
    await client.set(p + 'text', 'text');
    await assert.rejects(client.sendCommand(['NOSUCH', 'x']), /unknown command/);
    await assert.rejects(client.sendCommand(['GET']), /wrong number of arguments/);
    await assert.rejects(client.incr(p + 'text'), /not an integer/);
    await assert.rejects(client.lPush(p + 'text', 'x'), /unknown command/);
    await assert.rejects(client.evalSha('0'.repeat(40)), /unknown command/);
    await assert.rejects(client.publish('channel', 'x'), /not supported/);
    assert.equal(await client.clientId(), id);
  },
  'client commands': async () => {
    const own = await open({ name: 'worker', clientInfoTag: 'tag' });
    assert.equal(await own.clientGetName(), 'worker');
    const me = await own.clientInfo();
    assert.deepEqual([me.id, me.name, me.db], [await own.clientId(), 'worker', 0]);
    assert.equal(me.libName, 'node-redis(tag)');
    assert.ok((await client.clientList()).some((one) => one.id === me.id));
    assert.equal(await client.clientKill({ filter: 'ID', id: me.id }), 1);
    // It connects anew by itself, and gives its name again.
    assert.equal(await own.clientGetName(), 'worker');
    assert.notEqual(await own.clientId(), me.id);
    assert.equal(await client.clientSetName('me'), 'OK');
    assert.equal(await client.clientGetName(), 'me');
  },
  'introspection': async () => {
    assert.match(await client.info(), /redis_version:7/);
    assert.deepEqual({ ...(await client.configGet('save')) }, { save: '' });
    assert.equal((await client.command()).length, await client.commandCount());
    assert.deepEqual(await client.commandGetKeys(['SET', 'k', 'v']), ['k']);
  },
  'cas and getv': async () => {
    // A key created anew starts above every version it ever had, so the first is not always 1.
    const [won, first] = await client.sendCommand(['CAS', p + 'c', '0', 'one']);
    assert.equal(won, 1);
    assert.deepEqual(await client.sendCommand(['CAS', p + 'c', String(first), 'two']), [1, first + 1]);
    assert.deepEqual(await client.sendCommand(['CAS', p + 'c', String(first), 'three']), [0, first + 1]);
    assert.deepEqual(await client.sendCommand(['GETV', p + 'c']), ['two', first + 1]);
  },
};

// A counter that several clients raise, each by another way to compare and set.
const steps = {
  cas: async (one, name) => {
    const [value, version] = await one.sendCommand(['GETV', name]);
    return (await one.sendCommand(['CAS', name, String(version), String(Number(value) + 1)]))[0] === 1;
  },
  excas: async (one, name) => {
    const [value, version] = await one.sendCommand(['EXGET', name]);
    return (await one.sendCommand(['EXCAS', name, String(Number(value) + 1), String(version)]))[0] === 'OK';
  },
  exset: async (one, name) => {
    const [value, version] = await one.sendCommand(['EXGET', name]);
    return one.sendCommand(['EXSET', name, String(Number(value) + 1), 'VER', String(version)])
      .then((reply) => reply === 'OK', (error) => {
        assert.match(error.message, /update version is stale/);
        return false;
      });
  },
  ifeq: async (one, name) => {
    const value = await one.get(name);
    return (await one.set(name, String(Number(value) + 1), { condition: 'IFEQ', matchValue: value })) === 'OK';
  },
  watch: async (one, name) => {
    await one.watch(name);
    const value = Number(await one.get(name));
    return one.multi().set(name, String(value + 1)).exec().then(() => true, (error) => {
      assert.ok(error instanceof WatchError, error);
      return false;
    });
  },
};
for (const [way, step] of Object.entries(steps)) {
  cases['a counter by ' + way] = () => countUp(client, open, `${p}counter:${way}`, step);
}

Object.assign(cases, {
  'a restart of the proxy': async () => {
    await client.set(p + 'stays', 'value');
    await restartProxy();
    assert.equal(await client.get(p + 'stays'), 'value');
  },
  'a restart under way': async () => {
    // What was sent and not answered is told; what follows waits for the connection.
    let going = true;
    const restarted = restartProxy().finally(() => { going = false; });
    for (let i = 0, ending = false; !ending; i += 1) {
      ending = !going;
      try {
        await client.set(p + 'busy', String(i));
        assert.equal(await client.get(p + 'busy'), String(i));
      } catch (error) {
        assert.match(error.message, /closed|reset|ECONNREFUSED/i);
        ending = false;
      }
    }
    await restarted;
    assert.equal(await client.ping(), 'PONG');
  },
});

const all = {};
// RESP undefined: the client's own default, which is one of the two, so some cases do.
for (const RESP of [undefined, 2, 3]) {
  const title = `RESP ${RESP ?? 'default'}`;
  all[`${title}, connect`] = async () => {
    base = RESP === undefined ? {} : { RESP };
    p = `node-redis:${RESP}:`;
    client = createClient({ ...base, socket: { host, port } });
    client.on('error', () => {});
    await client.connect();
  };
  for (const [name, body] of Object.entries(cases).slice(0, RESP === undefined ? 4 : undefined)) {
    all[`${title}, ${name}`] = async () => {
      try {
        await body();
      } finally {
        for (const one of opened.splice(0)) one.destroy();
      }
    };
  }
  all[`${title}, close`] = () => client.close();
}
await run('node-redis', all);
