# ruby-redis (Debian's) with its defaults: commands, pipelines, SCAN enumerators, large and binary values,
# transactions, TLS, users, compare and set, and a restart of the proxy.
require 'openssl'
require 'redis'
require 'socket'

P = 'ruby-redis:'

def connect(**options)
  Redis.new(host: ENV['PROXY_HOST'], port: ENV['PROXY_PORT'].to_i, **options)
end

# Ends the proxy and waits until another is in its place.
def restart_proxy
  UNIXSocket.open(ENV['PROXY_RESTART']) { |control| same("ready\n", control.read) }
end

def throws(kind, text)
  yield
rescue kind => e
  raise e unless e.message.include?(text)
else
  raise "no #{kind} with '#{text}'"
end

# Four clients raise one number; a step that lost is tried again, and none may be counted twice.
def counter(redis, name)
  redis.set(name, 0)
  4.times.map do
    Thread.new do
      own = connect
      50.times { loop { break if yield(own) } }
      own.close
    end
  end.each(&:join)
  same('200', redis.get(name))
end

def same(expected, got)
  return if expected == got

  raise "expected #{expected.inspect[0, 200]}, got #{got.inspect[0, 200]}"
end

CASES = {
  'basics' => lambda do |r|
    same('PONG', r.ping)
    same('OK', r.set(P + 'a', 'value'))
    same('value', r.get(P + 'a'))
    same(nil, r.get(P + 'none'))
    same(false, r.set(P + 'a', '2', nx: true))
    same(true, r.set(P + 'b', '1', px: 100_000, nx: true))
    same(true, r.ttl(P + 'b') > 90)
    same(true, r.persist(P + 'b'))
    same(2, r.exists(P + 'a', P + 'b', P + 'none'))
    same(['value', '1', nil], r.mget(P + 'a', P + 'b', P + 'none'))
    same(2, r.del(P + 'a', P + 'b', P + 'none'))
  end,
  'binary and large values' => lambda do |r|
    binary = (0..255).to_a.pack('C*')
    [binary, binary * 16, binary * 20_000].each do |value|
      r.set(P + 'v', value)
      same(value, r.get(P + 'v').b)
    end
  end,
  'pipeline' => lambda do |r|
    replies = r.pipelined do |pipe|
      500.times do |i|
        pipe.set(P + "p#{i}", i)
        pipe.get(P + "p#{i}")
      end
    end
    500.times { |i| same(i.to_s, replies[2 * i + 1]) }
  end,
  'scan enumerator' => lambda do |r|
    same(500, r.scan_each(match: P + 'p*', count: 50).to_a.uniq.size)
    same(500, r.keys(P + 'p*').size)
  end,
  'rename, copy, dump, restore' => lambda do |r|
    r.set(P + 'from', 'text ' * 1000)
    same('OK', r.rename(P + 'from', P + 'to'))
    same(true, r.copy(P + 'to', P + 'copy'))
    same(false, r.renamenx(P + 'copy', P + 'to'))
    same('OK', r.restore(P + 'copy', 0, r.dump(P + 'to'), replace: true))
    same(r.get(P + 'to'), r.get(P + 'copy'))
    same('raw', r.object('encoding', P + 'to'))
    r.del(P + 'to', P + 'copy')
  end,
  'pipeline with an error' => lambda do |r|
    throws(Redis::CommandError, 'not an integer') do
      r.pipelined do |pipe|
        pipe.set(P + 'e', 'text')
        pipe.incr(P + 'e')
        pipe.set(P + 'e', 'later')
      end
    end
    same('later', r.get(P + 'e'))
  end,
  'binary keys' => lambda do |r|
    [(0..255).to_a.pack('C*'), "\0", "\r\n"].each do |key|
      same('OK', r.set(key, 'value'))
      same('value', r.get(key))
      same(1, r.del(key))
    end
  end,
  'transaction' => lambda do |r|
    replies = r.multi do |tx|
      tx.set(P + 't', 5)
      tx.incr(P + 't')
      tx.get(P + 't')
    end
    same(['OK', 6, '6'], replies)
    throws(Redis::CommandError, 'hash to the same slot') do
      r.multi do |tx|
        tx.set(P + 'o1', 1)
        tx.set(P + 'o2', 2)
      end
    end
    same([nil, nil], r.mget(P + 'o1', P + 'o2'))
  end,
  'watch, won and lost' => lambda do |r|
    r.set(P + 'w', 1)
    same([2], r.watch(P + 'w') { r.multi { |tx| tx.incr(P + 'w') } })
    lost = r.watch(P + 'w') do
      connect.set(P + 'w', 10)
      r.multi { |tx| tx.incr(P + 'w') }
    end
    same(nil, lost)
    same('10', r.get(P + 'w'))
  end,
  'tls' => lambda do |_|
    value = 'large value ' * 200_000
    secure = Redis.new(host: ENV['PROXY_HOST'], port: ENV['PROXY_TLS_PORT'].to_i, ssl: true,
                       ssl_params: { ca_file: ENV['PROXY_CA'] })
    same('OK', secure.set(P + 'tls', value))
    same(value, secure.get(P + 'tls'))
    # Who has not got the authority's certificate does not trust the proxy.
    stranger = Redis.new(host: ENV['PROXY_HOST'], port: ENV['PROXY_TLS_PORT'].to_i, ssl: true,
                         reconnect_attempts: 0)
    throws(OpenSSL::SSL::SSLError, 'certificate verify failed') { stranger.ping }
  end,
  'unix socket' => lambda do |_|
    own = Redis.new(path: ENV['PROXY_UNIX'])
    same('OK', own.set(P + 'u', 1))
    own.close
  end,
  'password' => lambda do |r|
    r.config(:set, 'requirepass', 'secret word')
    begin
      throws(Redis::CommandError, 'NOAUTH') { connect.get('x') }
      throws(Redis::CommandError, 'WRONGPASS') { connect(password: 'wrong').get('x') }
      same('default', connect(password: 'secret word').call('ACL', 'WHOAMI'))
    ensure
      r.config(:set, 'requirepass', '')
    end
  end,
  'user' => lambda do |r|
    r.call('ACL', 'SETUSER', 'reader', 'on', '>pass', "~#{P}open:*", '+@read')
    r.set(P + 'open:a', 1)
    reader = connect(username: 'reader', password: 'pass')
    same('1', reader.get(P + 'open:a'))
    throws(Redis::CommandError, 'NOPERM') { reader.get(P + 'shut') }
    throws(Redis::CommandError, 'NOPERM') { reader.set(P + 'open:a', 2) }
    same(1, r.call('ACL', 'DELUSER', 'reader'))
  end,
  'client commands' => lambda do |r|
    own = connect(id: 'worker')
    same('worker', own.client(:getname))
    same(true, r.client(:list).any? { |one| one['name'] == 'worker' })
    same(true, r.info['redis_version'].start_with?('7.'))
  end,
  'counter by cas' => lambda do |r|
    counter(r, P + 'n') do |own|
      value, version = own.call('GETV', P + 'n')
      own.call('CAS', P + 'n', version, value.to_i + 1)[0] == 1
    end
  end,
  'counter by Tair\'s commands' => lambda do |r|
    counter(r, P + 'n') do |own|
      value, version = own.call('EXGET', P + 'n')
      own.call('EXCAS', P + 'n', value.to_i + 1, version)[0] == 'OK'
    end
  end,
  'counter by SET IFEQ' => lambda do |r|
    counter(r, P + 'n') do |own|
      value = own.get(P + 'n')
      own.call('SET', P + 'n', value.to_i + 1, 'IFEQ', value) == 'OK'
    end
  end,
  'counter by WATCH' => lambda do |r|
    counter(r, P + 'n') do |own|
      own.watch(P + 'n') do
        value = own.get(P + 'n').to_i
        own.multi { |tx| tx.set(P + 'n', value + 1) }
      end == ['OK']
    end
  end,
  'errors leave the connection' => lambda do |r|
    begin
      r.call('NOSUCH', 'x')
      raise 'no error'
    rescue Redis::CommandError => e
      same(true, e.message.start_with?('ERR unknown command'))
    end
    same('PONG', r.ping)
  end,
  'a restart of the proxy' => lambda do |r|
    r.set(P + 'stays', 'value')
    restart_proxy
    same('value', r.get(P + 'stays')) # it connects anew by itself
  end
}.freeze

failed = 0
CASES.each do |name, body|
  client = connect
  body.call(client)
  client.close
  puts "ok   ruby-redis: #{name}"
rescue StandardError => e
  failed += 1
  puts "FAIL ruby-redis: #{name}: #{e.message}"
end
puts "ruby-redis #{Redis::VERSION}: #{CASES.size - failed} passed, #{failed} failed"
exit(failed.zero? ? 0 : 1)
