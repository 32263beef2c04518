"""Ends of nodes' leases, as the engine keeps them: who has one, and who is dead for ever.

A node whose lease has ended is dead once anybody has looked, and stays so: whoever looks writes
that down, in the same step. Until then it may renew, as nobody has taken anything of what it has.

Time in which no node was here at all ends no lease: the engine was away, or all of them were cut
off from it, and none could have renewed. Who had one when the last of them was here has half a
lease to come back, in which nodes look for the engine three times.
"""

from __future__ import annotations

from trio_mqtt.cluster.engine.calls import Script

# KEYS of all of these begin with the nodes, and when the last of them was here; ARGV with the
# milliseconds of the asker's lease. A node that is dead has 0 as the end of its lease.
_LOOK = """
local t, lease = now(), tonumber(ARGV[1])
local seen = tonumber(redis.call('GET', KEYS[2]) or t)
local ends = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for place = 1, #ends, 2 do
  local node, lease_end = ends[place], tonumber(ends[place + 1])
  if t - seen > lease / 2 and lease_end >= seen and lease_end < t + lease / 2 then
    redis.call('ZADD', KEYS[1], t + lease / 2, node)
  elseif lease_end > 0 and lease_end < t then
    redis.call('ZADD', KEYS[1], 0, node)
  end
end
redis.call('SET', KEYS[2], t)
"""

JOIN = Script(
    _LOOK
    + """
-- KEYS: also the node's hash. ARGV: also its identifier, what it was before, fields.
if ARGV[3] ~= '' then redis.call('ZADD', KEYS[1], 'XX', 0, ARGV[3]) end
redis.call('ZADD', KEYS[1], t + lease, ARGV[2])
redis.call('HSET', KEYS[3], 'since', t, unpack(ARGV, 4))
redis.call('PEXPIRE', KEYS[3], 10 * lease)
return {t, redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')}
"""
)
"""A process is a node from now on, and is no more what it was before."""

RENEW = Script(
    _LOOK
    + """
-- KEYS: also the node's hash, and locks of what it is doing for others. ARGV: also its identifier,
-- fields.
local lease_end = redis.call('ZSCORE', KEYS[1], ARGV[2])
if not lease_end or tonumber(lease_end) == 0 then return false end
redis.call('ZADD', KEYS[1], t + lease, ARGV[2])
if #ARGV > 2 then redis.call('HSET', KEYS[3], unpack(ARGV, 3)) end
redis.call('PEXPIRE', KEYS[3], 10 * lease)
for place = 4, #KEYS do
  if redis.call('GET', KEYS[place]) == ARGV[2] then redis.call('PEXPIRE', KEYS[place], lease) end
end
return {t, redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')}
"""
)
"""A node is alive for the time of a lease; false where it is dead."""

IS_ALIVE = Script(
    _LOOK
    + """
-- ARGV: also the node that is asked about.
local lease_end = redis.call('ZSCORE', KEYS[1], ARGV[2])
return lease_end and tonumber(lease_end) > 0 and 1 or 0
"""
)
"""Whether a node's lease has not ended: if it has, it is dead from now on."""

TAKE_ON = Script(
    _LOOK
    + """
-- KEYS: also the lock. ARGV: also the dead node, who would do it.
local lease_end = redis.call('ZSCORE', KEYS[1], ARGV[2])
if not lease_end or tonumber(lease_end) > 0 then return 0 end
if redis.call('GET', KEYS[3]) == ARGV[3] then return 1 end
if redis.call('SET', KEYS[3], ARGV[3], 'NX', 'PX', lease) then return 1 end
return 0
""",
    fenced=True,
)
"""A node does what is to be done for one that is dead, unless another does."""

DONE = Script(
    """
-- KEYS: nodes, the lock, the dead node's hash. ARGV: the dead node, who has done it.
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[2], KEYS[3])
return redis.call('ZREM', KEYS[1], ARGV[1])
""",
    fenced=True,
)
"""It is done."""

LEAVE = Script("""
-- KEYS: nodes, the node's hash. ARGV: its identifier, whether it leaves nothing to be done.
if ARGV[2] == '1' then
  redis.call('DEL', KEYS[2])
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
return redis.call('ZADD', KEYS[1], 'XX', 'CH', 0, ARGV[1])
""")
"""A node is none any more."""
