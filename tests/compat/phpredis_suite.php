<?php
// phpredis_suite.php FOLDER SKIP...: phpredis's own tests of its class Redis, from FOLDER, but those named,
// each by itself on a database with one key. (Its own runner stops at the first error that is no exception.)
// A line for each: "passed|failed|skipped NAME", with what was wrong behind it.
define('PHPREDIS_TESTRUN', true);
$_SERVER['PHP_SELF'] = $argv[1] . '/TestRedis.php';  // where the files look for each other
chdir($argv[1]);
require $argv[1] . '/RedisTest.php';

error_reporting(E_ALL & ~E_DEPRECATED);
$host = getenv('PROXY_HOST');
$port = (int)getenv('PROXY_PORT');
foreach ((new ReflectionClass('Redis_Test'))->getMethods(ReflectionMethod::IS_PUBLIC) as $method) {
    $name = $method->name;
    if (!str_starts_with($name, 'test') || in_array($name, array_slice($argv, 2))) continue;
    Redis_Test::$errors = [];
    $status = 'passed';
    try {
        $flush = new Redis();
        $flush->connect($host, $port);
        $flush->flushAll();
        $flush->set('some key', 'some value');
        $flush->close();
        $test = new Redis_Test($host, $port, null);
        $test->setUp();
        ob_start();
        $test->$name();
    } catch (TestSkippedException $skipped) {
        $status = 'skipped';
        Redis_Test::$errors = [$skipped->getMessage()];
    } catch (Throwable $error) {
        Redis_Test::$errors[] = get_class($error) . ': ' . $error->getMessage();
    }
    ob_end_clean();
    if ($status === 'passed' && Redis_Test::$errors) $status = 'failed';
    $why = preg_replace('/\s+/', ' ', implode('; ', Redis_Test::$errors));
    echo "$status $name " . substr($why, 0, 300) . "\n";
}
