-- What the load scripts share: tokens from a file, and one line of results.

local shared = {}

-- The lines of the file that TOKENS names.
function shared.read()
  local path = assert(os.getenv("TOKENS"), "set TOKENS to a file with one access token on each line")
  local tokens = {}
  for line in assert(io.open(path)):lines() do
    if line ~= "" then tokens[#tokens + 1] = line end
  end
  assert(#tokens > 0, path .. " holds no token")
  return tokens
end

-- The start of every request with this token, without the empty line that ends it. Written once and not with
-- wrk.format for each request: the load generator shares the machine with the server.
function shared.head(method, path, token)
  return table.concat({
    method .. " " .. path .. " HTTP/1.1",
    "Host: " .. wrk.host .. ":" .. wrk.port,
    "Authorization: Bearer " .. token,
    "",
  }, "\r\n")
end

-- RESULT requests/s, p50 ms, p99 ms, answers of 400 and above, errors of sockets. `wrk` counts the first three over
-- all answers, so a run with refusals measures refusals.
function shared.report(summary, latency)
  local sockets = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  print(string.format("RESULT %.0f %.1f %.1f %d %d", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, summary.errors.status, sockets))
end

return shared
