// ioredis and its fork iovalkey have one interface; `options` are what all clients get.
import { assert, binary, ca, cert, collect, countUp, host, key, large, port, restartProxy, run, tlsPort,
  unix } from './suite.mjs';

let client; // with it most cases work; `open` makes others, which end with the case
const opened = [];
let Redis; // the class
let base; // options of every client
let p; // prefix of keys

// Connected, or rejected with what went wrong.
async function open(options = {}) {
  const one = new Redis({ host, port, ...base, ...options, lazyConnect: true });
  one.on('error', () => {});
  opened.push(one);
  await one.connect();
  return one;
}

// Without a second try, so that what is refused is told.
const once = { retryStrategy: null, maxRetriesPerRequest: 0 };

// The error that a client which cannot connect reports.
function failure(options) {
  return new Promise((resolve, reject) => {
    const one = new Redis({ host, port, ...base, ...options, ...once });
    opened.push(one);
    one.on('error', resolve);
    one.on('ready', () => one.ping().then(() => reject(new Error('it was let in')), resolve));
  });
}

const cases = {
  'ping': async () => assert.equal(await client.ping(), 'PONG'),
  'set, get, del': async () => {
    assert.equal(await client.set(p + 'a', 'value', 'EX', 1000), 'OK');
    assert.equal(await client.get(p + 'a'), 'value');
    assert.ok((await client.ttl(p + 'a')) > 900);
    assert.equal(await client.exists(p + 'a', p + 'none'), 1);
    assert.equal(await client.del(p + 'a', p + 'none'), 1);
    assert.equal(await client.get(p + 'a'), null);
  },
  'many keys, numbers, parts': async () => {
    assert.equal(await client.mset({ [p + 'm1']: '1', [p + 'm2']: '2' }), 'OK');
    assert.deepEqual(await client.mget(p + 'm1', p + 'none', p + 'm2'), ['1', null, '2']);
    assert.equal(await client.incrby(p + 'm1', 41), 42);
    assert.equal(await client.incrbyfloat(p + 'm1', 0.5), '42.5');
    assert.equal(await client.append(p + 'm2', 'xyz'), 4);
    assert.equal(await client.getrange(p + 'm2', 1, -1), 'xyz');
    assert.equal(await client.getdel(p + 'm2'), '2xyz');
    assert.equal(await client.unlink(p + 'm1', p + 'm2'), 1);
  },
  'binary and large values, binary keys': async () => {
    await client.set(p + 'bin', binary);
    assert.deepEqual(await client.getBuffer(p + 'bin'), binary);
    await client.set(p + 'large', large);
    assert.deepEqual(await client.getBuffer(p + 'large'), large);
    await client.set(binary, 'by a binary key');
    assert.equal(await client.get(binary), 'by a binary key');
    assert.ok((await client.keysBuffer('*')).some((name) => name.equals(binary)));
    assert.equal(await client.del(binary), 1);
  },
  'a pipeline': async () => {
    const pipeline = client.pipeline();
    for (let i = 0; i < 300; i += 1) pipeline.set(p + 'p', String(i)).get(p + 'p');
    const replies = await pipeline.exec();
    for (let i = 0; i < 300; i += 1) assert.deepEqual(replies[2 * i + 1], [null, String(i)]);
  },
  'a pipeline with an error': async () => {
    const replies = await client.pipeline().set(p + 'e', 'text').incr(p + 'e').get(p + 'e').exec();
    assert.deepEqual([replies[0], replies[2]], [[null, 'OK'], [null, 'text']]);
    assert.match(replies[1][0].message, /not an integer/);
  },
  'automatic pipelining': async () => {
    const pipelining = await open({ enableAutoPipelining: true });
    const names = Array.from({ length: 200 }, (_, i) => p + 'auto' + i);
    await Promise.all(names.map((name, i) => pipelining.set(name, String(i))));
    assert.deepEqual(await Promise.all(names.map((name) => pipelining.get(name))), names.map((_, i) => String(i)));
    const mixed = await Promise.allSettled([pipelining.incr(p + 'auto0'), pipelining.lpush(p + 'auto1', 'x'),
      pipelining.get(p + 'auto2')]);
    assert.deepEqual([mixed[0].value, mixed[2].value], [1, '2']);
    assert.match(mixed[1].reason.message, /unknown command/);
  },
  'a transaction': async () => {
    assert.deepEqual(await client.multi().set(p + 't', '5').incr(p + 't').get(p + 't').exec(),
      [[null, 'OK'], [null, 6], [null, '6']]);
  },
  'a transaction without a pipeline': async () => {
    const own = await open();
    assert.equal(await own.multi({ pipeline: false }), 'OK');
    assert.equal(await own.set(p + 't', '5'), 'QUEUED');
    assert.equal(await own.incr(p + 't'), 'QUEUED');
    assert.deepEqual(await own.exec(), [[null, 'OK'], [null, 6]]);
    await own.multi({ pipeline: false });
    await own.set(p + 't', '7');
    assert.equal(await own.discard(), 'OK');
    assert.equal(await own.get(p + 't'), '6');
  },
  'a transaction over slots is refused whole': async () => {
    await assert.rejects(client.multi().set(p + 'o1', '5').set(p + 'o2', '6').exec(), /CROSSSLOT/);
    assert.deepEqual(await client.mget(p + 'o1', p + 'o2'), [null, null]);
  },
  'a transaction with an error': async () => {
    const replies = await client.multi().set(p + 't', 'x').incr(p + 't').get(p + 't').exec();
    assert.deepEqual([replies[0], replies[2]], [[null, 'OK'], [null, 'x']]);
    assert.match(replies[1][0].message, /not an integer/);
  },
  'a refused transaction': async () => {
    await client.set(p + 't', 'before');
    await assert.rejects(client.multi().set(p + 't', 'after').call('NOSUCH').exec(), /EXECABORT/);
    assert.equal(await client.get(p + 't'), 'before');
  },
  'watch, won': async () => {
    await client.set(p + 'w', '1');
    const own = await open();
    await own.watch(p + 'w');
    assert.deepEqual(await own.multi().incr(p + 'w').exec(), [[null, 2]]);
  },
  'watch, lost': async () => {
    await client.set(p + 'w', '1');
    const own = await open();
    await own.watch(p + 'w');
    await client.set(p + 'w', '10');
    assert.equal(await own.multi().incr(p + 'w').exec(), null);
    assert.equal(await own.get(p + 'w'), '10');
  },
  'scan stream': async () => {
    const names = Array.from({ length: 500 }, (_, i) => p + 'scan:' + i);
    await client.mset(names.flatMap((name) => [name, '']));
    const found = await collect(client.scanStream({ match: p + 'scan:*', count: 37, type: 'string' }));
    assert.deepEqual(found.sort(), names.sort());
    assert.deepEqual(await collect(client.scanStream({ match: p + 'scan:*', type: 'list' })), []);
    assert.equal(await client.del(...names), 500);
  },
  'several clients at once': async () => {
    await client.set(p + 'many', '0');
    const clients = await Promise.all(Array.from({ length: 8 }, () => open()));
    await Promise.all(clients.flatMap((one) => Array.from({ length: 40 }, () => one.incr(p + 'many'))));
    assert.equal(await client.get(p + 'many'), '320');
  },
  'a prefix for keys': async () => {
    const own = await open({ keyPrefix: p + 'prefix:' });
    await own.set('k', '1');
    assert.equal(await client.get(p + 'prefix:k'), '1');
    assert.deepEqual(await own.mget('k', 'none'), ['1', null]);
  },
  'tls': async () => {
    const own = await open({ port: tlsPort, tls: { ca } });
    await own.set(p + 'tls', large);
    assert.deepEqual(await own.getBuffer(p + 'tls'), large);
    assert.equal(await (await open({ port: tlsPort, tls: { ca, cert, key } })).ping(), 'PONG');
    // Who has not got the authority's certificate does not trust the proxy.
    assert.match((await failure({ port: tlsPort, tls: {} })).message, /certificate/);
  },
  'unix socket and url': async () => {
    assert.equal(await (await open({ path: unix })).set(p + 'u', '1'), 'OK');
    const own = new Redis(`redis://${host}:${port}/0`, base);
    assert.equal(await own.get(p + 'u'), '1');
    await own.quit();
    // A database that does not exist is told, and the client goes on in the first, as with Redis.
    assert.match((await failure({ db: 1 })).message, /out of range/);
  },
  'password': async () => {
    await client.config('SET', 'requirepass', 'secret word');
    try {
      assert.match((await failure({})).message, /NOAUTH/);
      assert.match((await failure({ password: 'wrong' })).message, /WRONGPASS/);
      assert.equal(await (await open({ password: 'secret word' })).acl('WHOAMI'), 'default');
    } finally {
      await client.config('SET', 'requirepass', '');
    }
  },
  'a user': async () => {
    await client.acl('SETUSER', 'reader', 'on', '>pass', `~${p}open:*`, '+@read', '+@connection', '+info');
    try {
      await client.set(p + 'open:a', '1');
      const reader = await open({ username: 'reader', password: 'pass' });
      assert.equal(await reader.get(p + 'open:a'), '1');
      await assert.rejects(reader.get(p + 'shut'), /NOPERM/);
      await assert.rejects(reader.set(p + 'open:a', '2'), /NOPERM/);
    } finally {
      assert.equal(await client.acl('DELUSER', 'reader'), 1);
    }
  },
  'errors leave the connection': async () => {
    const id = await client.client('ID');
    await client.set(p + 'text', 'text');
    await assert.rejects(client.call('NOSUCH', 'x'), /unknown command/);
    await assert.rejects(client.get(), /wrong number of arguments/);
    await assert.rejects(client.incr(p + 'text'), /not an integer/);
    await assert.rejects(client.lpush(p + 'text', 'x'), /unknown command/);
    await assert.rejects(client.evalsha('0'.repeat(40), 0), /unknown command/);
    await assert.rejects(client.publish('channel', 'x'), /not supported/);
    assert.equal(await client.client('ID'), id);
  },
  'client commands': async () => {
    const own = await open({ connectionName: 'worker' });
    assert.equal(await own.client('GETNAME'), 'worker');
    const id = await own.client('ID');
    assert.match(await own.client('INFO'), new RegExp(`^id=${id} .* name=worker `));
    assert.match(await client.client('LIST'), new RegExp(`^id=${id} .* name=worker `, 'm'));
    assert.equal(await client.client('KILL', 'ID', id), 1);
    // It connects anew by itself, and gives its name again.
    assert.equal(await own.client('GETNAME'), 'worker');
    assert.notEqual(await own.client('ID'), id);
  },
  'introspection': async () => {
    assert.match(await client.info('server'), /redis_version:7/);
    assert.deepEqual(await client.config('GET', 'save'), ['save', '']);
    assert.equal((await client.command()).length, await client.command('COUNT'));
    assert.deepEqual(await client.command('GETKEYS', 'SET', 'k', 'v'), ['k']);
  },
  'cas and getv': async () => {
    // A key created anew starts above every version it ever had, so the first is not always 1.
    const [won, first] = await client.call('CAS', p + 'c', 0, 'one');
    assert.equal(won, 1);
    assert.deepEqual(await client.call('CAS', p + 'c', first + 7, 'two'), [0, first]);
    assert.deepEqual(await client.call('GETV', p + 'c'), ['one', first]);
    assert.equal(await client.call('GETV', p + 'none'), null);
  },
};

// A counter that several clients raise, each by another way to compare and set.
const steps = {
  cas: async (one, name) => {
    const [value, version] = await one.call('GETV', name);
    return (await one.call('CAS', name, version, Number(value) + 1))[0] === 1;
  },
  excas: async (one, name) => {
    const [value, version] = await one.call('EXGET', name);
    return (await one.call('EXCAS', name, Number(value) + 1, version))[0] === 'OK';
  },
  exset: async (one, name) => {
    const [value, version] = await one.call('EXGET', name);
    return one.call('EXSET', name, Number(value) + 1, 'VER', version).then((reply) => reply === 'OK', (error) => {
      assert.match(error.message, /update version is stale/);
      return false;
    });
  },
  ifeq: async (one, name) => {
    const value = await one.get(name);
    return (await one.call('SET', name, Number(value) + 1, 'IFEQ', value)) === 'OK';
  },
  watch: async (one, name) => {
    await one.watch(name);
    const value = Number(await one.get(name));
    return (await one.multi().set(name, value + 1).exec()) !== null;
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
    // Commands without an answer are sent again by the client, so none may fail.
    let going = true;
    const patient = await open({ maxRetriesPerRequest: null, retryStrategy: () => 20 });
    const restarted = restartProxy().finally(() => { going = false; });
    for (let i = 0, ending = false; !ending; i += 1) {
      ending = !going;
      await patient.set(p + 'busy', String(i));
      assert.equal(await patient.get(p + 'busy'), String(i));
    }
    await restarted;
  },
});

export async function exerciseIoredis(name, theClass, variants) {
  Redis = theClass;
  const all = {};
  for (const [title, options] of Object.entries(variants)) {
    all[`${title}, connect`] = async () => {
      base = options;
      p = `${name}:${title.replace(' ', '')}:`;
      client = new Redis({ host, port, ...base });
      client.on('error', () => {});
    };
    for (const [what, body] of Object.entries(cases)) {
      all[`${title}, ${what}`] = async () => {
        try {
          await body();
        } finally {
          for (const one of opened.splice(0)) one.disconnect();
        }
      };
    }
    all[`${title}, close`] = () => client.quit();
  }
  await run(name, all);
}
