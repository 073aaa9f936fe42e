<?php
// phpredis (Debian's php-redis) with its defaults: commands, pipelines, transactions, SCAN iterators,
// large and binary values, TLS, users, sessions, compare and set, and a restart of the proxy.
$p = 'phpredis:';

function redis() {
    $r = new Redis();
    $r->connect(getenv('PROXY_HOST'), (int)getenv('PROXY_PORT'));
    return $r;
}

// Ends the proxy and waits until another is in its place.
function restart_proxy() {
    $control = stream_socket_client('unix://' . getenv('PROXY_RESTART'), $code, $text, 100);
    same("ready\n", fgets($control));
}

// That it throws, with such a text.
function throws($text, $body) {
    try {
        $body();
    } catch (RedisException $error) {
        same(true, str_contains($error->getMessage(), $text) ?: $error->getMessage());
        return;
    }
    throw new Exception("no exception with '$text'");
}

function same($expected, $got) {
    if ($expected !== $got) {
        throw new Exception('expected ' . substr(var_export($expected, true), 0, 200) . ', got '
            . substr(var_export($got, true), 0, 200));
    }
}

$cases = [
    'basics' => function ($r) use ($p) {
        same(true, $r->ping());
        same(true, $r->set($p . 'a', 'value'));
        same('value', $r->get($p . 'a'));
        same(false, $r->get($p . 'none'));
        same(false, $r->set($p . 'a', '2', ['nx']));
        same(true, $r->set($p . 'b', '1', ['nx', 'px' => 100000]));
        same(true, $r->ttl($p . 'b') > 90);
        same(true, $r->persist($p . 'b'));
        same(2, $r->exists($p . 'a', $p . 'b', $p . 'none'));
        same(['value', '1', false], $r->mget([$p . 'a', $p . 'b', $p . 'none']));
        same(2, $r->del($p . 'a', $p . 'b', $p . 'none'));
    },
    'binary and large values' => function ($r) use ($p) {
        $binary = implode('', array_map('chr', range(0, 255)));
        foreach ([$binary, str_repeat($binary, 16), str_repeat($binary, 20000)] as $value) {
            same(true, $r->set($p . 'v', $value));
            same($value, $r->get($p . 'v'));
        }
    },
    'pipeline' => function ($r) use ($p) {
        $pipe = $r->pipeline();
        for ($i = 0; $i < 500; $i++) $pipe->set($p . "p$i", "$i")->get($p . "p$i");
        $replies = $pipe->exec();
        for ($i = 0; $i < 500; $i++) same("$i", $replies[2 * $i + 1]);
    },
    'pipeline with an error' => function ($r) use ($p) {
        $replies = $r->pipeline()->set($p . 'e', 'text')->incr($p . 'e')->get($p . 'e')->exec();
        same([true, false, 'text'], $replies);
    },
    'binary keys' => function ($r) {
        foreach ([implode('', array_map('chr', range(0, 255))), "\0", "\r\n"] as $key) {
            same(true, $r->set($key, 'value'));
            same('value', $r->get($key));
            same(1, $r->del($key));
        }
    },
    'transaction' => function ($r) use ($p) {
        same([true, 6, '6'], $r->multi()->set($p . 't', '5')->incr($p . 't')->get($p . 't')->exec());
        same([true, false, 'x'], $r->multi()->set($p . 't', 'x')->incr($p . 't')->get($p . 't')->exec());
        $r->multi()->set($p . 't', 'y');
        same(true, $r->discard());
        same('x', $r->get($p . 't'));
    },
    'transaction over slots' => function ($r) use ($p) {
        // After an error in place of EXEC's array phpredis waits for more, until its time-out.
        $r->setOption(Redis::OPT_READ_TIMEOUT, 0.2);
        throws('', fn() => $r->multi()->set($p . 'o1', '1')->set($p . 'o2', '2')->exec());
        same([false, false], redis()->mget([$p . 'o1', $p . 'o2']));
    },
    'watch, won and lost' => function ($r) use ($p) {
        $r->set($p . 'w', '1');
        $r->watch($p . 'w');
        same([2], $r->multi()->incr($p . 'w')->exec());
        $r->watch($p . 'w');
        redis()->set($p . 'w', '10');
        same(false, $r->multi()->incr($p . 'w')->exec());
        same('10', $r->get($p . 'w'));
    },
    'tls' => function () use ($p) {
        $value = str_repeat('large value ', 200000);
        $secure = new Redis();
        $options = ['cafile' => getenv('PROXY_CA'), 'verify_peer' => true, 'verify_peer_name' => true];
        $secure->connect('tls://' . getenv('PROXY_HOST'), (int)getenv('PROXY_TLS_PORT'), 100, null, 0, 0,
            ['stream' => $options]);
        same(true, $secure->set($p . 'tls', $value));
        same($value, $secure->get($p . 'tls'));
        // Who has not got the authority's certificate does not trust the proxy.
        $stranger = new Redis();
        throws('', function () use ($stranger) {
            @$stranger->connect('tls://' . getenv('PROXY_HOST'), (int)getenv('PROXY_TLS_PORT'), 100);
            $stranger->ping();
        });
    },
    'unix socket' => function () use ($p) {
        $r = new Redis();
        same(true, $r->connect(getenv('PROXY_UNIX')));
        same(true, $r->set($p . 'u', '1'));
    },
    'password' => function ($r) {
        $r->config('SET', 'requirepass', 'secret word');
        try {
            throws('NOAUTH', fn() => redis()->get('x'));
            throws('WRONGPASS', fn() => redis()->auth('wrong'));
            $known = redis();
            same(true, $known->auth('secret word'));
            same('default', $known->acl('WHOAMI'));
        } finally {
            $r->config('SET', 'requirepass', '');
        }
    },
    'user' => function ($r) use ($p) {
        same(true, $r->acl('SETUSER', 'reader', 'on', '>pass', "~{$p}open:*", '+@read'));
        $r->set($p . 'open:a', '1');
        $reader = redis();
        same(true, $reader->auth(['reader', 'pass']));
        same('1', $reader->get($p . 'open:a'));
        throws('NOPERM', fn() => $reader->get($p . 'shut'));
        throws('NOPERM', fn() => $reader->set($p . 'open:a', '2'));
        same(1, $r->acl('DELUSER', 'reader'));
    },
    'sessions' => function ($r) use ($p) {
        ini_set('session.save_handler', 'redis');
        ini_set('session.save_path', 'tcp://' . getenv('PROXY_HOST') . ':' . getenv('PROXY_PORT')
            . '?prefix=' . $p . 'session:');
        ini_set('session.use_cookies', '0');
        session_id('tried');
        session_start();
        $_SESSION['name'] = 'value';
        session_write_close();
        same('name|s:5:"value";', $r->get($p . 'session:tried'));
        same(true, $r->ttl($p . 'session:tried') > 0);
        $_SESSION = [];
        session_start();
        same('value', $_SESSION['name']);
        session_destroy();
        same(0, $r->exists($p . 'session:tried'));
    },
    'client commands' => function ($r) {
        same(true, $r->client('setname', 'worker'));
        same('worker', $r->client('getname'));
        same(true, in_array('worker', array_column($r->client('list'), 'name')));
        same(true, $r->client('id') > 0);
        same(true, str_starts_with($r->info()['redis_version'], '7.'));
    },
    'counter by Tair\'s commands, SET IFEQ and WATCH' => function ($r) use ($p) {
        $other = redis();
        $r->set($p . 'n', '0');
        // Without it every status is `true`, also EXCAS's CAS_FAILED.
        foreach ([$r, $other] as $one) $one->setOption(Redis::OPT_REPLY_LITERAL, true);
        for ($i = 0; $i < 40; $i++) {
            [$value, $version] = $r->rawCommand('EXGET', $p . 'n');
            same('OK', $other->rawCommand('EXCAS', $p . 'n', $value + 1, $version)[0]);
            same(['CAS_FAILED', (string)($value + 1), $version + 1],
                $r->rawCommand('EXCAS', $p . 'n', $value + 1, $version));
            same(false, $r->rawCommand('EXSET', $p . 'n', 'x', 'VER', $version));
            same(true, str_contains($r->getLastError(), 'update version is stale'));
            same('OK', $r->rawCommand('SET', $p . 'n', $value + 2, 'IFEQ', $value + 1));
            same(false, $r->rawCommand('SET', $p . 'n', $value + 2, 'IFEQ', $value + 1));
            $r->watch($p . 'n');
            same([true], $r->multi()->set($p . 'n', $value + 3)->exec());
        }
        same('120', $r->get($p . 'n'));
    },
    'scan iterator' => function ($r) use ($p) {
        $r->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
        $cursor = null;
        $seen = [];
        while ($keys = $r->scan($cursor, $p . 'p*', 50)) {
            foreach ($keys as $key) $seen[$key] = true;
        }
        same(500, count($seen));
        same(500, count($r->keys($p . 'p*')));
    },
    'rename, copy, dump, restore' => function ($r) use ($p) {
        $r->set($p . 'from', str_repeat('text ', 1000));
        same(true, $r->rename($p . 'from', $p . 'to'));
        same(false, $r->renameNx($p . 'none', $p . 'to'));
        $payload = $r->dump($p . 'to');
        same(true, $r->restore($p . 'again', 0, $payload));
        same($r->get($p . 'to'), $r->get($p . 'again'));
        same('raw', $r->object('encoding', $p . 'to'));
        $r->del($p . 'to', $p . 'again');
    },
    'counter by cas' => function ($r) use ($p) {
        $r->set($p . 'n', '0');
        for ($i = 0; $i < 100; $i++) {
            do {
                [$value, $version] = $r->rawCommand('GETV', $p . 'n');
                [$won] = $r->rawCommand('CAS', $p . 'n', $version, $value + 1);
            } while (!$won);
        }
        same('100', $r->get($p . 'n'));
    },
    'errors leave the connection' => function ($r) {
        same(false, $r->rawCommand('NOSUCH', 'x'));
        same(true, str_starts_with($r->getLastError(), "ERR unknown command"));
        same(true, $r->ping());
    },
    'persistent connections' => function ($r) use ($p) {
        for ($i = 0; $i < 20; $i++) {
            $one = new Redis();
            $one->pconnect(getenv('PROXY_HOST'), (int)getenv('PROXY_PORT'));
            same(true, $one->set($p . 'persistent', "$i"));
            same("$i", $one->get($p . 'persistent'));
        }
    },
    'a restart of the proxy' => function ($r) use ($p) {
        $r->set($p . 'stays', 'value');
        restart_proxy();
        same('value', $r->get($p . 'stays'));  // it connects anew by itself
    },
];

$failed = 0;
ob_start();  // a session starts before anything was shown
foreach ($cases as $name => $case) {
    try {
        $case(redis());
        echo "ok   phpredis: $name\n";
    } catch (Throwable $error) {
        $failed++;
        echo "FAIL phpredis: $name: {$error->getMessage()}\n";
    }
}
echo 'phpredis ' . phpversion('redis') . ': ' . (count($cases) - $failed) . " passed, $failed failed\n";
exit($failed === 0 ? 0 : 1);
