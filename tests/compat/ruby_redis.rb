# ruby-redis (Debian's) with its defaults: commands, pipelines, SCAN enumerators, large and binary values.
require 'redis'

P = 'ruby-redis:'

def connect
  Redis.new(host: ENV['PROXY_HOST'], port: ENV['PROXY_PORT'].to_i)
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
  'counter by cas, in threads' => lambda do |r|
    r.set(P + 'n', 0)
    4.times.map do
      Thread.new do
        own = connect
        50.times do
          loop do
            value, version = own.call('GETV', P + 'n')
            break if own.call('CAS', P + 'n', version, value.to_i + 1)[0] == 1
          end
        end
        own.close
      end
    end.each(&:join)
    same('200', r.get(P + 'n'))
  end,
  'errors leave the connection' => lambda do |r|
    begin
      r.call('NOSUCH', 'x')
      raise 'no error'
    rescue Redis::CommandError => e
      same(true, e.message.start_with?('ERR unknown command'))
    end
    same('PONG', r.ping)
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
exit(failed.zero? ? 0 : 1)
