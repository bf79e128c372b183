-- A person's conversations, the first page.
-- TOKENS: a file of access tokens. LIST_PATH: what to get, /v1/conversations unless told.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local shared = dofile(here .. "tokens.lua")

local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  local path = os.getenv("LIST_PATH") or "/v1/conversations"
  requests = {}
  for _, token in ipairs(shared.read()) do
    requests[#requests + 1] = shared.head("GET", path, token) .. "\r\n"
  end
  sent = 0
end

function request()
  sent = sent + 1
  return requests[(number * 997 + sent) % #requests + 1]
end

done = shared.report
