<?php
// phpredis (Debian's php-redis) with its defaults: commands, pipelines, transactions, SCAN iterators,
// large and binary values.
$p = 'phpredis:';

function redis() {
    $r = new Redis();
    $r->connect(getenv('PROXY_HOST'), (int)getenv('PROXY_PORT'));
    return $r;
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
];

$failed = 0;
foreach ($cases as $name => $case) {
    try {
        $case(redis());
        echo "ok   phpredis: $name\n";
    } catch (Throwable $error) {
        $failed++;
        echo "FAIL phpredis: $name: {$error->getMessage()}\n";
    }
}
exit($failed === 0 ? 0 : 1);
