"""The scripts by which nodes change a session's hash: each is one step, and one key.

Fields of the hash: `node` is who has the session now, under `epoch`; `next` the node and the token
of who waits for it. `user`, `expiry` (seconds), `will` and `author` are what CONNECT has said,
`holder` is whose it counts as; `will_of` is the epoch under which that will was, by which it is
told from another connection's that is like it. `ends` and `will_due` (milliseconds of the engine's
clock) are there while nobody has it. All others belong to the session as it is kept.
"""

from __future__ import annotations

from trio_mqtt.cluster.engine.calls import Script

# Whose it is and since when, and what else of it a script looks at.
_READ = """\
local key = KEYS[1]
local function stands()
  return redis.call('HMGET', key, 'node', 'epoch', 'next', 'user', 'ends', 'will_due', 'will')
end
local function text(number) return string.format('%.0f', number) end
"""

# It becomes a node's: its epoch is later than any that there was, also of a hash that is gone.
_TAKE = """\
local function take(node, before)
  local t = redis.call('TIME')
  local epoch = math.max(t[1] * 1000000 + t[2], tonumber(before or '0') + 1)
  redis.call('HSET', key, 'node', node, 'epoch', text(epoch))
  redis.call('PERSIST', key)
  return text(epoch)
end
"""

# What CONNECT says of it; an empty will or author is none, of a user '=' tells that there is one.
_BEGIN = """\
local function begin(epoch, user, expiry, will, author)
  redis.call('HDEL', key, 'ends', 'will_due')
  redis.call('HSET', key, 'expiry', expiry)
  local will_of = will ~= '' and epoch or ''
  for field, value in pairs({
    user = string.sub(user, 2), will = will, author = author, will_of = will_of
  }) do
    if value ~= '' or (field == 'user' and user ~= '') then
      redis.call('HSET', key, field, value)
    else
      redis.call('HDEL', key, field)
    end
  end
end
"""

_IS_MINE = """\
if redis.call('HGET', key, 'epoch') ~= ARGV[1] then return 0 end
"""

CLAIM = Script(
    _READ
    + _TAKE
    + _BEGIN
    + """\
-- node, token, from whom it may be taken, '1' if who has it is not disturbed, '1' if it waits
-- already, '1' for a clean start; then what CONNECT says
local node, token, from, gently, waits, clean = unpack(ARGV, 1, 6)
local user, expiry, will, author = unpack(ARGV, 7, 10)
local owner, epoch, next, of, ends, due, had_will = unpack(stands())
local me = node .. ' ' .. token
if waits == '1' and next ~= me then return {'superseded'} end
local over = ends and tonumber(ends) <= now()
if of and not over and '=' .. of ~= user then return {'refused'} end
if owner and owner ~= from then
  if gently ~= '1' then redis.call('HSET', key, 'next', me) end
  return {'owned', owner}
end
local before = redis.call('HGETALL', key)
local had = redis.call('HGET', key, 'expiry')
local mine = take(node, epoch)
redis.call('HDEL', key, 'next')
local left = had_will or (had and had ~= '0' and (over or clean == '1')) or had == '0'
if not left then begin(mine, user, expiry, will, author) end
return {left and 'left' or 'begun', mine, text(now()), before}
""",
    fenced=True,
)
"""A client wants its session: see `SessionStore.claim`."""

BEGIN = Script(
    _READ
    + _BEGIN
    + _IS_MINE
    + """\
-- epoch, '1' if all that was kept goes; then what CONNECT says
if ARGV[2] == '1' then
  local owner, epoch, next = unpack(stands())
  redis.call('DEL', key)
  redis.call('HSET', key, 'node', owner, 'epoch', epoch)
  if next then redis.call('HSET', key, 'next', next) end
end
begin(ARGV[1], unpack(ARGV, 3, 6))
return 1
""",
    fenced=True,
)
"""What CONNECT has said holds from now on."""

_CHANGE = """\
local function change(at)
  local pairs_end = at + 2 * tonumber(ARGV[at])
  for i = at + 1, pairs_end, 1000 do
    redis.call('HSET', key, unpack(ARGV, i, math.min(i + 999, pairs_end)))
  end
  for i = pairs_end + 1, #ARGV, 1000 do
    redis.call('HDEL', key, unpack(ARGV, i, math.min(i + 999, #ARGV)))
  end
end
local own = {node=1, epoch=1, next=1, user=1, holder=1, expiry=1, will=1, author=1,
  will_of=1}
local function wipe()
  local fields = redis.call('HKEYS', key)
  local going = {}
  for _, field in ipairs(fields) do
    if not own[field] then
      going[#going + 1] = field
    end
    if #going == 1000 then redis.call('HDEL', key, unpack(going)); going = {} end
  end
  if #going > 0 then redis.call('HDEL', key, unpack(going)) end
end
"""

SAVE = Script(
    _READ
    + _CHANGE
    + _IS_MINE
    + """\
-- epoch, '1' if all that was kept goes first, number of pairs, pairs, fields that go
if ARGV[2] == '1' then wipe() end
change(3)
return 1
""",
    fenced=True,
)
"""Some of what is kept of a session has changed."""

RELEASE = Script(
    _READ
    + _CHANGE
    + _IS_MINE
    + """\
-- epoch, '1' if the session has ended, in how many ms it ends, in how many its will is due, both
-- empty for never, '1' if there is no will any more; number of pairs, pairs, fields that go
local forget, ends, due, no_will = unpack(ARGV, 2, 5)
if forget == '1' then
  local next = redis.call('HGET', key, 'next')
  redis.call('DEL', key)
  if next then  -- who waits for it finds that it still does
    redis.call('HSET', key, 'next', next, 'epoch', ARGV[1])
    redis.call('PEXPIRE', key, 60000)
  end
  return 1
end
change(6)
redis.call('HDEL', key, 'node', 'ends', 'will_due')
if no_will == '1' then redis.call('HDEL', key, 'will', 'author', 'will_of') end
if ends ~= '' then redis.call('HSET', key, 'ends', text(now() + tonumber(ends))) end
if due ~= '' then redis.call('HSET', key, 'will_due', text(now() + tonumber(due))) end
return 1
""",
    fenced=True,
)
"""A node gives a session up; it is another's, or waits for its client, or has ended."""

FREE = Script(
    _READ
    + """\
-- the node that is dead, a will that does not count; answers when something is due for the
-- session, '' where it is another's; then the fields that say how far it is by the node's floors
local owner, epoch, next, user, ends, due, will = unpack(stands())
if owner and owner ~= ARGV[1] then return {''} end
local found = {''}
local fields = redis.call('HGETALL', key)
for at = 1, #fields, 2 do
  if fields[at]:sub(1, 2) == 'k/' and fields[at + 1]:find('@', 1, true) then
    found[#found + 1] = fields[at]
    found[#found + 1] = fields[at + 1]
  end
end
if owner then
  if will == ARGV[2] then
    redis.call('HDEL', key, 'will', 'author', 'will_of')
    will = false
  end
  local expiry = tonumber(redis.call('HGET', key, 'expiry') or '0')
  redis.call('HDEL', key, 'node')
  if expiry < 4294967295 then
    ends = text(now() + expiry * 1000)
    redis.call('HSET', key, 'ends', ends)
  end
  if will then
    local a, b, c, d = string.byte(will, 1, 4)
    due = text(now() + 1000 * (((a * 256 + b) * 256 + c) * 256 + d))
    redis.call('HSET', key, 'will_due', due)
  end
end
if redis.call('HEXISTS', key, 'expiry') == 0 then return {''} end
local far = 253402300799000
found[1] = text(math.min(tonumber(ends or far), tonumber(due or far)))
return found
""",
    fenced=True,
)
"""The session of a dead node is free: its client has gone without a word."""

TAKE_IF_DUE = Script(
    _READ
    + _TAKE
    + """\
-- node; answers its epoch, the time and the fields, or when something is due, '' for never
local owner, epoch, next, user, ends, due, will = unpack(stands())
if owner or redis.call('HEXISTS', key, 'expiry') == 0 then return {''} end
local far = 253402300799000
local first = math.min(tonumber(ends or far), tonumber(due or far))
if first > now() then return {text(first)} end
local before = redis.call('HGETALL', key)
return {text(first), take(ARGV[1], epoch), text(now()), before}
""",
    fenced=True,
)
"""A session that nobody has may have to end, or its will to be published: then it is this node's
for as long as that takes."""

NEXT_DUE = Script(
    """\
-- at most so many, and for how many ms nobody else gets them; the key of the sorted set
local time = now()
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', time, 'LIMIT', 0, ARGV[1])
local held = string.format('%.0f', time + tonumber(ARGV[2]))
for _, member in ipairs(found) do redis.call('ZADD', KEYS[1], held, member) end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local wait = first[2] and string.format('%.0f', math.max(0, tonumber(first[2]) - time)) or ''
return {held, wait, found}
"""
)
"""Sessions that something may be due for; others get them only later, if they are there still."""

NO_LONGER_DUE = Script(
    """\
-- member and the score that it had; the key of the sorted set
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if score and tonumber(score) == tonumber(ARGV[2]) then redis.call('ZREM', KEYS[1], ARGV[1]) end
return 1
"""
)
"""Nothing is due for a session, unless that was said again meanwhile."""
