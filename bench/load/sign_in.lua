-- A person signs in with their password. EMAILS: a file with one address a line; PASSWORD: the password of all of them.

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local shared = dofile(here .. "tokens.lua")

local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  bodies = {}
  for email in io.lines(os.getenv("EMAILS")) do
    bodies[#bodies + 1] = string.format('{"email":"%s","password":"%s"}', email, os.getenv("PASSWORD"))
  end
  sent = 0
end

function request()
  sent = sent + 1
  local body = bodies[(number * 7 + sent) % #bodies + 1]
  return wrk.format("POST", "/v1/auth/sign-in", { ["Content-Type"] = "application/json" }, body)
end

done = shared.report
