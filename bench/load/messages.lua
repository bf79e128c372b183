-- A question by a person, each one with an idempotency key of its own; the answer comes with the reply.
-- TOKENS: a file of access tokens. MESSAGES_PATH: where to post, /v1/messages unless told.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local shared = dofile(here .. "tokens.lua")

local QUESTION = "What are your opening hours on Saturday, and can I bring my dog along with me?"

-- Each thread begins at another token, and its keys have its own number.
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  local body = string.format('{"content":"%s"}', QUESTION)
  local path = os.getenv("MESSAGES_PATH") or "/v1/messages"
  heads = {}
  for _, token in ipairs(shared.read()) do
    heads[#heads + 1] = shared.head("POST", path, token) .. "Content-Type: application/json\r\nContent-Length: " ..
      #body .. "\r\nIdempotency-Key: "
  end
  tail = "\r\n\r\n" .. body
  sent = 0
  -- Never the same in two runs: a repeated key would be answered from the first.
  prefix = string.format("bench-%d-%s-%d-", os.time(), tostring({}):match("0x(%x+)") or "0", number)
end

function request()
  sent = sent + 1
  return heads[(number * 997 + sent) % #heads + 1] .. prefix .. sent .. tail
end

done = shared.report
