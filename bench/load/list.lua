-- What a person gets: their conversations, the first page, or whatever LIST_PATH names.
-- TOKENS: a file of access tokens. QUERIES: a file with what each of them asks for after the path, or nothing.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local shared = dofile(here .. "tokens.lua")

local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  local path = os.getenv("LIST_PATH") or "/v1/conversations"
  local queries = {}
  if os.getenv("QUERIES") then
    for line in io.lines(os.getenv("QUERIES")) do queries[#queries + 1] = line end
  end
  requests = {}
  for place, token in ipairs(shared.read()) do
    requests[#requests + 1] = shared.head("GET", path .. (queries[place] or ""), token) .. "\r\n"
  end
  sent = 0
end

function request()
  sent = sent + 1
  return requests[(number * 997 + sent) % #requests + 1]
end

done = shared.report
