-- Reads a row, or gives a lease to read it from the database. KEYS: value, generation. ARGV: a new generation, and for how many
-- milliseconds a lease is good. Gives the value; else the generation, or nothing where nothing may be kept now.
local epoch = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
local known = redis.call('HMGET', KEYS[2], 'epoch', 'generation', 'filled', 'closed')
local trusted = known[1] == epoch
if trusted and known[3] then
  local value = redis.call('GET', KEYS[1])
  if value then return {value, false} end
end
if known[4] then
  local time = redis.call('TIME')
  if tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000 < tonumber(known[4]) then return {false, false} end
end
local generation = known[2]
if not (trusted and generation and generation ~= '') then
  redis.call('DEL', KEYS[1], KEYS[2])
  generation = ARGV[1]
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'generation', generation)
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return {false, generation}
