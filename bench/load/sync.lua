-- Polls of clients that have seen everything.
-- TOKENS: a file of access tokens. CURSORS: a file with the cursor of each, or nothing. SYNC_PATH: what to get, /v1/sync
-- unless told; a cursor is appended as its query.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local shared = dofile(here .. "tokens.lua")

local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  local path = os.getenv("SYNC_PATH") or "/v1/sync"
  local cursors = {}
  if os.getenv("CURSORS") then
    for line in io.lines(os.getenv("CURSORS")) do cursors[#cursors + 1] = line end
  end
  requests = {}
  for place, token in ipairs(shared.read()) do
    local target = path
    if cursors[place] then target = path .. "?cursor=" .. cursors[place] end
    requests[#requests + 1] = shared.head("GET", target, token) .. "\r\n"
  end
  sent = 0
end

function request()
  sent = sent + 1
  return requests[(number * 997 + sent) % #requests + 1]
end

done = shared.report
