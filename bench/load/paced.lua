-- Requests at a pace that does not follow the answers: each connection waits EVERY milliseconds (give or take a half)
-- between an answer and its next request, so that CONNECTIONS / EVERY is what is offered as long as answers are fast.
-- TOKENS: a file of access tokens. WHAT: "messages" or "list". EVERY: 0 is as fast as it goes.
-- PATHS: a file with the path for each token, instead of /v1/messages or /v1/conversations.
-- RESULT: sent, answered 2xx, refused with 503, refused without Retry-After, other answers, errors of sockets; each a second.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local shared = dofile(here .. "tokens.lua")

local threads = {}
function setup(thread)
  thread:set("number", #threads)
  threads[#threads + 1] = thread
end

local function paths(count)
  local file = os.getenv("PATHS")
  local listing = (os.getenv("WHAT") == "list") and "/v1/conversations" or "/v1/messages"
  local all = {}
  if file and file ~= "" then
    for line in assert(io.open(file)):lines() do all[#all + 1] = line end
  end
  for place = #all + 1, count do all[place] = listing end
  return all
end

function init()
  local tokens = shared.read()
  local path = paths(#tokens)
  local list = os.getenv("WHAT") == "list"
  local body = '{"content":"What are your opening hours on Saturday, and can I bring my dog along with me?"}'
  heads = {}
  for place, token in ipairs(tokens) do
    if list then
      heads[place] = shared.head("GET", path[place], token) .. "\r\n"
    else
      heads[place] = shared.head("POST", path[place], token) .. "Content-Type: application/json\r\nContent-Length: " ..
        #body .. "\r\nIdempotency-Key: "
    end
  end
  tail = list and "" or ("\r\n\r\n" .. body)
  prefix = string.format("paced-%d-%s-%d-", os.time(), tostring({}):match("0x(%x+)") or "0", number)
  list_only = list
  sent, fine, refused, untold, other = 0, 0, 0, 0, 0
  every = tonumber(os.getenv("EVERY") or "0")
  math.randomseed(os.time() + number)
  -- Each run begins at another token, so that short runs do not all ask the same few.
  first = math.random(#heads)
end

function request()
  sent = sent + 1
  local head = heads[(first + number * 997 + sent) % #heads + 1]
  if list_only then return head end
  return head .. prefix .. sent .. tail
end

function response(status, headers)
  if status < 300 then
    fine = fine + 1
  elseif status == 503 then
    refused = refused + 1
    if not (headers["retry-after"] or headers["Retry-After"]) then untold = untold + 1 end
  else
    other = other + 1
  end
end

if tonumber(os.getenv("EVERY") or "0") > 0 then
  function delay()
    return math.floor(every * (0.5 + math.random()))
  end
end

function done(summary)
  local total = { sent = 0, fine = 0, refused = 0, untold = 0, other = 0 }
  for _, thread in ipairs(threads) do
    for name, count in pairs(total) do total[name] = count + (thread:get(name) or 0) end
  end
  local seconds = summary.duration / 1e6
  local sockets = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  print(string.format("RESULT %.0f %.0f %.0f %.0f %.0f %.0f", total.sent / seconds, total.fine / seconds,
    total.refused / seconds, total.untold / seconds, total.other / seconds, sockets / seconds))
end
