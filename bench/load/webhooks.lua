-- Signed webhooks, each sent once. WEBHOOKS: a file of "signature<TAB>body" lines. WEBHOOK_PATH: where to post.
-- WEBHOOK_HEADER: the header of the signature, x-signature unless told.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local shared = dofile(here .. "tokens.lua")

local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  local header = os.getenv("WEBHOOK_HEADER") or "x-signature"
  local head = "POST " .. os.getenv("WEBHOOK_PATH") .. " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n" .. header .. ": "
  requests = {}
  local line_number = 0
  -- Each thread takes every second line: more threads would need another stride.
  for line in io.lines(os.getenv("WEBHOOKS")) do
    line_number = line_number + 1
    if line_number % 2 == number % 2 then
      local signature, body = line:match("^(%S+)\t(.*)$")
      requests[#requests + 1] = head .. signature .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
    end
  end
  sent = 0
end

function request()
  sent = sent + 1
  if sent > #requests then
    -- A repeat would be acknowledged without being stored: it must not be counted.
    error("there are too few webhooks in the file for this rate and time")
  end
  return requests[sent]
end

done = shared.report
