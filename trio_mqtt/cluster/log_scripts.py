"""What the engine does as one step with the log of a topic filter that durable sessions have.

All keys of a filter lie in one slot. `log` is the stream, `holders` a sorted set: the sessions that
have the filter, by milliseconds up to which each is done with the log. `state` is a hash: `last` is
the last entry, `bytes` and `messages` count all that ever came; for each node `n/NODE` has the
number of what it appended last, with its entry and the one before; for each client that published
at QoS 2, `q/CLIENT` has what of it came last, at least all that its session does not know of; for
each session that has left messages for others, `b/SESSION` the fields by which it had them.
`marks` is a list of entries with what had come up to each: the log is cut off there when it grows
beyond its bounds. `epochs` is a hash: those under which the sessions that have the filter came to
have it last. `given` is one of a shared log: entries that a node has taken, and to which sessions.

An entry has the fields `e`, what it holds, and `p`, the entry before it: who reads on after that
one has missed nothing.
"""

from __future__ import annotations

from trio_mqtt.cluster.engine.calls import Script

# Answers of APPEND beside an entry and the one before it.
NOBODY = 0  # no session has the filter any more
KNOWN = 1  # all of it came before

_APPEND = """
-- node, number, what it holds, messages, age (ms), most messages, most bytes,
-- then, where all is of one publisher at QoS 2: client, the epoch under which its node has the
-- session, its messages as numbers and digests, and up to which number its session knows what has
-- come; before the client stands '=', or '?' where its one message is perhaps known
local log, state, holders, marks = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local call = redis.call
if call('EXISTS', holders) == 0 then return 0 end
local mine = 'n/' .. ARGV[1]
local before = call('HGET', state, mine)
if before then
  local number, entry, previous = before:match('^(%d+) (%S+) (%S+)$')
  if tonumber(number) == tonumber(ARGV[2]) then return {entry, previous} end
  if tonumber(number) > tonumber(ARGV[2]) then return 1 end
end
local field, known, names
if ARGV[8] then
  field, names = 'q/' .. ARGV[8]:sub(2), ARGV[10]
  known = call('HGET', state, field)
  if known then
    -- From a node that has had the session since, the client has had it added.
    if tonumber(known:match('^%S+ (%S+)')) > tonumber(ARGV[9]) then return 1 end
    if ARGV[8]:sub(1, 1) == '?' and (known .. ' '):find(' ' .. names .. ' ', 1, true) then
      return 1
    end
    -- The client may send all of those again that its session does not know of.
    local kept, left = tonumber(ARGV[11]), {}
    for name, number in known:match('^%S+ %S+(.*)$'):gmatch(' ((%d+):%S+)') do
      if tonumber(number) > kept then left[#left + 1] = name end
    end
    left[#left + 1] = names
    names = table.concat(left, ' ')
  end
end
local figures = call('HMGET', state, 'last', 'bytes', 'messages')
local previous = figures[1] or '0-0'
local size = (tonumber(figures[2]) or 0) + #ARGV[3]
local messages = (tonumber(figures[3]) or 0) + tonumber(ARGV[4])
local time = now()
local bound = {}
local age = tonumber(ARGV[5])
local entry
if age > 0 and time > age then
  entry = call('XADD', log, 'MINID', '~', string.format('%.0f', time - age), '*',
    'e', ARGV[3], 'p', previous)
else
  entry = call('XADD', log, '*', 'e', ARGV[3], 'p', previous)
end
call('HSET', state, 'last', entry, 'bytes', string.format('%.0f', size),
  'messages', string.format('%.0f', messages), mine,
  ARGV[2] .. ' ' .. entry .. ' ' .. previous)
if field then
  call('HSET', state, field, string.format('%.0f', time) .. ' ' .. ARGV[9] .. ' ' .. names)
end
-- What is beyond the bounds goes, a thirty-second of them at a time.
local mark = call('LINDEX', marks, -1)
local marked_size, marked_messages = 0, 0
if mark then
  local _, a, b = mark:match('^(%S+) (%d+) (%d+)$')
  marked_size, marked_messages = tonumber(a), tonumber(b)
else
  marked_size, marked_messages = size - #ARGV[3], messages - tonumber(ARGV[4])
  call('RPUSH', marks, string.format('0-0 %.0f %.0f', marked_size, marked_messages))
end
local most_messages, most_size = tonumber(ARGV[6]), tonumber(ARGV[7])
if size - marked_size >= most_size / 32 or messages - marked_messages >= most_messages / 32 then
  call('RPUSH', marks, string.format('%s %.0f %.0f', entry, size, messages))
  while call('LLEN', marks) > 1 do
    local _, a, b = call('LINDEX', marks, 0):match('^(%S+) (%d+) (%d+)$')
    if size - tonumber(a) <= most_size * 31 / 32
      and messages - tonumber(b) <= most_messages * 31 / 32 then break end
    call('LPOP', marks)
    local up_to = call('LINDEX', marks, 0):match('^(%S+) ')
    local ms, number = up_to:match('^(%d+)%-(%d+)$')
    call('XTRIM', log, 'MINID', ms .. '-' .. string.format('%.0f', tonumber(number) + 1))
  end
  -- Nodes and clients of long ago.
  if call('HLEN', state) > 4096 then
    local all = call('HGETALL', state)
    for at = 1, #all, 2 do
      local kind = all[at]:sub(1, 2)
      local came
      if kind == 'n/' then came = all[at + 1]:match('^%d+ (%d+)%-') end
      if kind == 'q/' or kind == 'b/' then came = all[at + 1]:match('^(%d+)') end
      if came and time - tonumber(came) > 86400000 then call('HDEL', state, all[at]) end
    end
  end
end
return {entry, previous}
"""
APPEND = Script(_APPEND, fenced=True)
"""Add an entry to a log, unless its node did so before: the entry, and the one before it."""

APPEND_LEFT = Script(
    """
-- After all else: pairs of a session that had what is added, and the fields by which it did; and
-- how many those are. In the same step the log says of them that they are over.
for _ = 1, tonumber(table.remove(ARGV)) do
  local fields, session = table.remove(ARGV), table.remove(ARGV)
  if redis.call('EXISTS', KEYS[3]) == 1 then
    -- Some from before may still stand with the session, too.
    local before = redis.call('HGET', KEYS[2], 'b/' .. session) or ''
    for one in before:gmatch(' (%S+)') do
      if not (' ' .. fields .. ' '):find(' ' .. one .. ' ', 1, true) then
        fields = fields .. ' ' .. one
      end
    end
    redis.call('HSET', KEYS[2], 'b/' .. session, string.format('%.0f', now()) .. ' ' .. fields)
  end
end
"""
    + _APPEND,
    fenced=True,
)
"""The same for what sessions have left for others."""

LEFT = b"b/"

FORGET_LEFT = Script("return redis.call('HDEL', KEYS[2], 'b/' .. ARGV[1])", fenced=True)
"""The session is kept without what it has left for others."""

HOLD = Script(
    """
-- the session, the epoch under which its node has it
local last = redis.call('HGET', KEYS[2], 'last') or '0-0'
redis.call('ZADD', KEYS[3], 'NX', last:match('^%d+'), ARGV[1])
-- Who had it before may be heard late.
if tonumber(redis.call('HGET', KEYS[5], ARGV[1]) or '-1') < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[5], ARGV[1], ARGV[2])
end
return {last, redis.call('ZCARD', KEYS[3])}
""",
    fenced=True,
)
"""A session has the filter: the last entry so far, and how many sessions have it."""

RELEASE = Script(
    """
-- sessions, each with the epoch under which the node had it that says so; 0 where it has it now
for at = 1, #ARGV, 2 do
  local since = tonumber(redis.call('HGET', KEYS[5], ARGV[at]) or '0')
  if ARGV[at + 1] == '0' or since <= tonumber(ARGV[at + 1]) then
    redis.call('ZREM', KEYS[3], ARGV[at])
    redis.call('HDEL', KEYS[5], ARGV[at])
  end
end
local left = redis.call('ZCARD', KEYS[3])
if left == 0 then redis.call('DEL', KEYS[1], KEYS[2], KEYS[4], KEYS[5], KEYS[6]) end
return left
"""
)
"""Sessions have the filter no more, if none has come to have it since under the same name; how many
still have it. Without any, there is no log."""

WHOLE = Script(
    """
-- where to read from, and the entry up to which all is known
local found = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', 1)
local function before(one, other)
  local a, b = one:match('^(%d+)%-(%d+)$')
  local c, d = other:match('^(%d+)%-(%d+)$')
  a, b, c, d = tonumber(a), tonumber(b), tonumber(c), tonumber(d)
  return a < c or (a == c and b < d)
end
if not found[1] then
  return before(ARGV[2], redis.call('HGET', KEYS[2], 'last') or '0-0') and 0 or 1
end
if found[1][1] == ARGV[2] then return 1 end
local fields = found[1][2]
for at = 1, #fields, 2 do
  if fields[at] == 'p' then return before(ARGV[2], fields[at + 1]) and 0 or 1 end
end
return 0
"""
)
"""Whether a log has all that comes after a place: 1, or 0 where some of it is gone."""

SHARE = Script(
    """
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], 'g', '$', 'MKSTREAM')
if type(made) == 'table' and made.err and not made.err:find('BUSYGROUP', 1, true) then
  return made
end
return 1
""",
    fenced=True,
)
"""Those who share a filter share its log from now on: each entry is one node's."""

TAKE = Script(
    """
-- the node, entries at most, after how many milliseconds a node that has nothing and takes nothing
-- is forgotten, nodes that are dead
local call = redis.call
local log, me, most = KEYS[1], ARGV[1], ARGV[2]
local found, others = {}, {}
local function add(entries)
  for _, one in ipairs(entries) do
    if one and one[2] then
      -- To whom it was being given, if it had come to that.
      one[3] = call('HGET', KEYS[6], one[1]) or ''
      found[#found + 1] = one
    elseif one then  -- the log had to let go of it
      call('XACK', log, 'g', one[1])
      call('HDEL', KEYS[6], one[1])
    end
  end
end
-- What this node has taken already: it has not heard of that, or could not give it to anybody.
local own = redis.pcall('XREADGROUP', 'GROUP', 'g', me, 'COUNT', most, 'STREAMS', log, '0')
if own and own.err then return {{}, {}} end
if own and own[1] then add(own[1][2]) end
for at = 4, #ARGV do
  if #found > 0 then break end
  local ids = {}
  for _, one in ipairs(call('XPENDING', log, 'g', '-', '+', most, ARGV[at])) do
    ids[#ids + 1] = one[1]
  end
  if #ids > 0 then add(call('XCLAIM', log, 'g', me, 0, unpack(ids))) end
end
if #found > 0 then return {found, {}} end
local new = call('XREADGROUP', 'GROUP', 'g', me, 'COUNT', most, 'STREAMS', log, '>')
if new and new[1] then add(new[1][2]) end
if #found > 0 then return {found, {}} end
-- There is time to look who else has something, and who is here no more.
for _, one in ipairs(call('XINFO', 'CONSUMERS', log, 'g')) do
  local of = {}
  for at = 1, #one, 2 do of[one[at]] = one[at + 1] end
  if of.name ~= me and of.pending > 0 then
    others[#others + 1] = of.name
  elseif of.name ~= me and of.idle > tonumber(ARGV[3]) then
    call('XGROUP', 'DELCONSUMER', log, 'g', of.name)
  end
end
return {found, others}
""",
    fenced=True,
)
"""Entries of a shared log for a node: what it has already, what one that is dead has left, else
what is new. Where there is none, the other nodes that have some."""

TAKEN = Script(
    """
-- entries
redis.pcall('XACK', KEYS[1], 'g', unpack(ARGV))
redis.call('HDEL', KEYS[6], unpack(ARGV))
return redis.call('XDEL', KEYS[1], unpack(ARGV))
"""
)
"""Entries of a shared log have gone to those who get them: that stays so, whoever says it."""

DONE = Script(
    """
-- pairs of milliseconds and session
redis.call('ZADD', KEYS[3], 'XX', 'GT', unpack(ARGV))
local first = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
if not first[2] then return 0 end
local gone = redis.call('XTRIM', KEYS[1], 'MINID', first[2])
while redis.call('LLEN', KEYS[4]) > 1 do
  local second = redis.call('LINDEX', KEYS[4], 1):match('^(%d+)%-')
  if tonumber(second) >= tonumber(first[2]) then break end
  redis.call('LPOP', KEYS[4])
end
return gone
"""
)
"""Sessions are done with the log up to a time; how many entries nobody needs any more."""

MEND = Script(
    """
-- '1' for a shared log
local kinds, aside = {'stream', 'hash', 'zset', 'list', 'hash', 'hash'}, {}
for at, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  -- Without those who have the filter, nothing would be kept for it any more: they stay.
  if kind ~= 'none' and kind ~= kinds[at] and at ~= 3 then
    redis.call('RENAME', key, key .. ':aside')
    aside[#aside + 1] = key
    if at == 1 and ARGV[1] == '1' then
      redis.call('XGROUP', 'CREATE', key, 'g', '0', 'MKSTREAM')
    end
  end
end
return aside
""",
    fenced=True,
)
"""Keys that are of another kind than they should be have been written by somebody else: they are
put aside, so that what comes from now on is kept. Which these were."""
