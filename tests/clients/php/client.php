<?php
// PHP's memcached extension through a TLS tunnel: every kind of command that the library has.
//
// The extension of most distributions has no TLS of its own, so MEMTIDE_HOST and MEMTIDE_PORT
// name the near end of a stunnel in client mode that verifies the server for it.

const DEADLINE_S = 10;

$passed = 0;

/** Prints a line for a check that holds; ends the program at the first that does not. */
function check(string $name, bool $holds, mixed $seen = ''): void
{
    global $passed;
    if (!$holds) {
        fwrite(STDERR, "FAILED $name: " . substr(json_encode($seen) ?: '', 0, 200) . "\n");
        exit(1);
    }
    $passed++;
    echo "ok $name\n";
}

function connect(array $options = []): Memcached
{
    $c = new Memcached();
    $c->setOptions([
        Memcached::OPT_BINARY_PROTOCOL => false,
        Memcached::OPT_COMPRESSION => false,
        Memcached::OPT_CONNECT_TIMEOUT => DEADLINE_S * 1000,
        Memcached::OPT_POLL_TIMEOUT => DEADLINE_S * 1000,
    ] + $options);
    $c->addServer(getenv('MEMTIDE_HOST'), (int) getenv('MEMTIDE_PORT'));
    return $c;
}

/** Whether the command just before ended with this result. */
function ended(Memcached $c, int $code): bool
{
    return $c->getResultCode() === $code;
}

/** Whether the key is gone before the deadline. */
function expires(Memcached $c, string $key): bool
{
    for ($end = microtime(true) + DEADLINE_S; microtime(true) < $end; usleep(50_000)) {
        if ($c->get($key) === false && ended($c, Memcached::RES_NOTFOUND)) {
            return true;
        }
    }
    return false;
}

function store(Memcached $c): void
{
    check('set', $c->set('php:a', '1'), $c->getResultMessage());
    check('get', $c->get('php:a') === '1');
    check('get of a missing key', $c->get('php:none') === false && ended($c, Memcached::RES_NOTFOUND));
    check('add of a key that exists', !$c->add('php:a', '2') && ended($c, Memcached::RES_NOTSTORED));
    check('replace of a missing key', !$c->replace('php:none', '2') && ended($c, Memcached::RES_NOTSTORED));
    check('append', $c->append('php:a', '2'));
    check('prepend', $c->prepend('php:a', '0'));
    check('append and prepend keep the value', $c->get('php:a') === '012');
    $c->set('php:array', ['a' => [1, 2.5, true]]);
    check('flags say what was serialized', $c->get('php:array') === ['a' => [1, 2.5, true]]);
}

function many(Memcached $c): void
{
    $items = [];
    for ($i = 0; $i < 100; $i++) {
        $items["php:m$i"] = "v$i";
    }
    check('setMulti', $c->setMulti($items));
    $found = $c->getMulti([...array_keys($items), 'php:none'], Memcached::GET_PRESERVE_ORDER);
    check('getMulti', array_filter($found, fn ($v) => $v !== null) === $items);
    check('deleteMulti', !in_array(false, $c->deleteMulti(array_keys($items)), true));
    check('getMulti after deleteMulti', $c->getMulti(array_keys($items)) === []);
}

function delete(Memcached $c): void
{
    $c->set('php:d', 'x');
    check('delete', $c->delete('php:d'));
    check('delete of a missing key', !$c->delete('php:d') && ended($c, Memcached::RES_NOTFOUND));
    check('get after delete', $c->get('php:d') === false);
}

function arithmetic(Memcached $c): void
{
    $c->set('php:n', '10');
    check('increment', $c->increment('php:n', 32) === 42);
    check('decrement', $c->decrement('php:n', 2) === 40);
    check('decrement stops at 0', $c->decrement('php:n', 1000) === 0);
    check('increment of a missing key', $c->increment('php:none') === false);
}

function cas(Memcached $c): void
{
    $c->set('php:c', 'old');
    $token = $c->get('php:c', null, Memcached::GET_EXTENDED)['cas'];
    check('gets', $token > 0, $token);
    check('cas', $c->cas($token, 'php:c', 'new'));
    check('cas with an old token', !$c->cas($token, 'php:c', 'x') && ended($c, Memcached::RES_DATA_EXISTS));
    check('cas of a missing key', !$c->cas($token, 'php:none', 'x') && ended($c, Memcached::RES_NOTFOUND));
    check('get after cas', $c->get('php:c') === 'new');
}

function timeToLive(Memcached $c): void
{
    $c->set('php:t', 'x', 600);
    check('touch', $c->touch('php:t', 1), $c->getResultMessage());
    check('a touched item expires', expires($c, 'php:t'));
    check('touch of a missing key', !$c->touch('php:t', 1) && ended($c, Memcached::RES_NOTFOUND));
    $c->set('php:e', 'x', 1);
    check('an item expires', expires($c, 'php:e'));
}

function values(Memcached $c): void
{
    $large = '';
    for ($i = 0; $i < 900 * 1024; $i++) {
        $large .= chr($i * 31 % 251);
    }
    check('set of 900 KB', $c->set('php:large', $large), $c->getResultMessage());
    check('get of 900 KB', $c->get('php:large') === $large);
    $binary = implode('', array_map('chr', range(0, 255))) . "\r\nEND\r\n\0\r\n";
    $c->set('php:binary', $binary);
    check('every byte comes back', $c->get('php:binary') === $binary);
    $c->set('php:empty', '');
    check('an empty value comes back', $c->get('php:empty') === '');
    $refused = !$c->set('php:over', str_repeat('x', 1024 * 1024 + 1));
    check('a value over the limit is refused', $refused && ended($c, Memcached::RES_E2BIG), $c->getResultMessage());
    check('get afterwards', $c->get('php:binary') === $binary);
}

function noreply(): void
{
    $c = connect([Memcached::OPT_NOREPLY => true]);
    check('noreply set', $c->set('php:q', '1'));
    $c->append('php:q', '0');
    check('get after a noreply set and append', $c->get('php:q') === '10');
    $c->delete('php:q');
    check('noreply delete', $c->get('php:q') === false && ended($c, Memcached::RES_NOTFOUND));
}

function buffered(): void
{
    $c = connect([Memcached::OPT_BUFFER_WRITES => true, Memcached::OPT_NO_BLOCK => true]);
    for ($i = 0; $i < 200; $i++) {
        $c->set("php:b$i", "$i");
    }
    $c->flushBuffers();
    check('200 buffered sets', count($c->getMulti(array_map(fn ($i) => "php:b$i", range(0, 199)))) === 200);
}

function server(Memcached $c): void
{
    $version = array_values($c->getVersion())[0];
    check('version is 1.6.27 or newer', version_compare($version, '1.6.27', '>='), $version);
    $stats = array_values($c->getStats())[0];
    check('stats', $stats['cmd_get'] > 0 && $stats['limit_maxbytes'] > 0, $stats);
    check('flush', $c->flush());
    check('get after flush', $c->get('php:a') === false);
}

$client = connect();
foreach (['store', 'many', 'delete', 'arithmetic', 'cas', 'timeToLive', 'values'] as $part) {
    $part($client);
}
noreply();
buffered();
server($client);
echo "$passed checks passed\n";
