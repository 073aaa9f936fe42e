# As cas_together.py, which tells more.
require 'redis'

PARTIES = Integer(ENV['PROXY_PARTIES'])
STEPS = 300
KEY = 'cas-together'
redis = Redis.new(host: ENV['PROXY_HOST'], port: ENV['PROXY_PORT'].to_i)

wait_for_all = lambda do |key|
  redis.incr(key)
  sleep 0.01 while redis.get(key).to_i < PARTIES
end
by_cas = lambda do
  value, version = redis.call('GETV', KEY)
  redis.call('CAS', KEY, version, value.to_i + 1)[0] == 1
end
by_excas = lambda do
  value, version = redis.call('EXGET', KEY)
  redis.call('EXCAS', KEY, value.to_i + 1, version)[0] == 'OK'
end

redis.set(KEY, 0, nx: true)
wait_for_all.call('cas-together:ready')
lost = 0
STEPS.times do |step|
  lost += 1 until (step.odd? ? by_cas : by_excas).call
end
wait_for_all.call('cas-together:done')
total = redis.get(KEY).to_i
raise "#{total} instead of #{PARTIES * STEPS}" unless total == PARTIES * STEPS

puts "ruby: #{STEPS} steps, #{lost} lost and tried again"
