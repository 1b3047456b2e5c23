-- Forgets rows, and ends every lease on them. KEYS: value and generation of each. ARGV: for how many milliseconds no lease is
-- given, a generation under which the caller itself may put them (or nothing), and for how long.
for at = 1, #KEYS, 2 do
  redis.call('DEL', KEYS[at], KEYS[at + 1])
end
local grace, lease = tonumber(ARGV[1]), tonumber(ARGV[3])
if grace == 0 and ARGV[2] == '' then return 0 end
local epoch = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
local time = redis.call('TIME')
local closed = math.floor(tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000) + grace
for at = 2, #KEYS, 2 do
  redis.call('HSET', KEYS[at], 'epoch', epoch, 'generation', ARGV[2], 'closed', string.format('%.0f', closed))
  redis.call('PEXPIRE', KEYS[at], math.max(grace, lease))
end
return 0
