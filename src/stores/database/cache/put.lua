-- Keeps rows that were read under a lease, where it still holds. KEYS: value and generation of each. ARGV: the generation, for how
-- many milliseconds, and the values. Gives how many were kept.
local epoch = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
local kept = 0
for at = 1, #KEYS, 2 do
  local known = redis.call('HMGET', KEYS[at + 1], 'epoch', 'generation')
  if known[1] == epoch and known[2] == ARGV[1] then
    redis.call('SET', KEYS[at], ARGV[(at + 1) / 2 + 2], 'PX', ARGV[2])
    redis.call('HSET', KEYS[at + 1], 'filled', 1)
    redis.call('PEXPIRE', KEYS[at + 1], ARGV[2])
    kept = kept + 1
  end
end
return kept
