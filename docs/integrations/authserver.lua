-- A passdb for Dovecot 2.3 and 2.4 that asks POST /verify of an authserver.
--
-- A file of the installation says where the server is, and loads this one:
--
--   authserver = {
--     url = "https://auth.example.com/verify",
--     secret_file = "/etc/dovecot/authserver.secret", -- of an API client
--     permissions = { "imap" },                       -- optional: all of them are required
--     timeout = 10,                                   -- optional: seconds for the whole question
--   }
--   dofile("/usr/share/authserver/dovecot/authserver.lua")
--
-- It needs Lua 5.3 or newer and nothing besides. Dovecot verifies the server's
-- certificate, by its settings ssl_client_ca_dir and ssl_client_ca_file.

local settings = authserver

-- Names that app passwords have for what Dovecot calls otherwise.
local services = { submission = "smtp" }

local authorization -- the header
local version_23    -- of Dovecot: not 2.4
local client

----------------------------------------------------------------------------
-- JSON (RFC 8259). Debian 12 has no library of it for the Lua of its Dovecot.

-- quote returns text, which is UTF-8, as a string.
local function quote(text)
  return '"' .. text:gsub('[\0-\31\127"\\]', function(c) return string.format("\\u%04x", c:byte()) end) .. '"'
end

local escapes = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }
local literals = { ["true"] = true, ["false"] = false } -- null is nil

-- Each decoder returns the value at a position of text and the position behind
-- it, and raises an error if there is none.
local decode_value

local function decode_string(text, at)
  local parts = {}
  while true do
    local plain, stop = text:match('^([^"\\\0-\31]*)()', at)
    parts[#parts + 1] = plain
    local c, escape = text:sub(stop, stop), text:sub(stop + 1, stop + 1)
    if c == '"' then
      return table.concat(parts), stop + 1
    elseif c == "\\" and escapes[escape] then
      parts[#parts + 1], at = escapes[escape], stop + 2
    else
      local code
      code, at = text:match("^\\u(%x%x%x%x)()", stop)
      code = tonumber(code, 16)
      if code >= 0xD800 and code <= 0xDFFF then
        local low
        low, at = text:match("^\\u([dD][c-fC-F]%x%x)()", at)
        assert(code <= 0xDBFF)
        code = 0x10000 + (code - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00
      end
      parts[#parts + 1] = utf8.char(code)
    end
  end
end

-- decode_list reads what is between two brackets, item by item.
local function decode_list(text, at, close, item)
  local stop = text:match("^[ \t\r\n]*" .. close .. "()", at)
  while not stop do
    at = item(text, at)
    local separator
    separator, at = text:match("^[ \t\r\n]*([,%]}])()", at)
    if "%" .. separator == close then
      stop = at
    else
      assert(separator == ",")
    end
  end
  return stop
end

function decode_value(text, at)
  local c
  at, c = text:match("^[ \t\r\n]*()(.)", at)
  if c == '"' then
    return decode_string(text, at + 1)
  elseif c == "{" then
    local object = {}
    return object, decode_list(text, at + 1, "%}", function(text, at)
      at = text:match('^[ \t\r\n]*"()', at)
      local name
      name, at = decode_string(text, at)
      at = text:match("^[ \t\r\n]*:()", at)
      object[name], at = decode_value(text, at)
      return at
    end)
  elseif c == "[" then
    local array, length = {}, 0
    return array, decode_list(text, at + 1, "%]", function(text, at)
      length = length + 1
      array[length], at = decode_value(text, at)
      return at
    end)
  end
  local word, stop = text:match("^([%w.+-]+)()", at)
  if word == "null" or literals[word] ~= nil then
    return literals[word], stop
  end
  assert(word:find("^-?%d") and not word:find("[xX]"))
  return assert(tonumber(word)), stop
end

-- decode returns the object that text is, or nil.
local function decode(text)
  local ok, value, stop = pcall(decode_value, text, 1)
  if ok and type(value) == "table" and text:find("^[ \t\r\n]*$", stop) then
    return value
  end
end

----------------------------------------------------------------------------
-- The question and its answer

local function question(user, password, service, remote_ip)
  local fields = {
    '"username":' .. quote(user),
    '"password":' .. quote(password),
    '"service":' .. quote(services[service] or service),
    '"remote_ip":' .. quote(remote_ip or ""),
  }
  local permissions = {}
  for i, permission in ipairs(settings.permissions or {}) do
    permissions[i] = quote(permission)
  end
  fields[#fields + 1] = '"scopes":[' .. table.concat(permissions, ",") .. "]"
  return "{" .. table.concat(fields, ",") .. "}"
end

-- temporary is what every kind of trouble is to Dovecot, which then goes on
-- with logins that it has cached. The reason is for its log.
local function temporary(reason)
  return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "authserver: " .. reason
end

-- result_of reads an answer. Only a whole one admits or refuses anybody.
local function result_of(status, payload)
  local answer = decode(payload) or {}
  -- The address becomes the name of a folder.
  if status == 200 and type(answer.user) == "string" and answer.user:find("^[^%c%s@/]+@[^%c%s@/]+$") then
    return dovecot.auth.PASSDB_RESULT_OK, { user = answer.user }
  elseif status == 401 and answer.error == "denied" then
    return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, "denied"
  elseif status == 403 and answer.error == "forbidden" then
    return dovecot.auth.PASSDB_RESULT_USER_DISABLED, "a permission is missing"
  elseif status == 401 then
    return temporary("the server does not know the secret in " .. settings.secret_file)
  elseif status == 429 then
    return temporary("too many wrong passwords, or questions")
  end
  return temporary("no usable answer, status " .. status)
end

-- new_client returns Dovecot's HTTP client. It follows no redirect: passwords
-- are for this server alone. The second attempt is for connections that the
-- server closes while they are idle.
local function new_client(timeout)
  if version_23 then
    return dovecot.http.client({
      request_timeout_msecs = math.floor(timeout * 1000),
      request_absolute_timeout_msecs = math.floor(timeout * 1000),
      max_attempts = 2,
      no_auto_redirect = true,
    })
  end
  -- Values are texts as in dovecot.conf; 2.4.1 crashes at any other type.
  local milliseconds = string.format("%d ms", math.floor(timeout * 1000))
  return dovecot.http.client({
    request_timeout = milliseconds,
    request_absolute_timeout = milliseconds,
    request_max_attempts = "2",
    auto_redirect = "no",
  })
end

local function read_secret(name)
  local file = assert(io.open(name, "r"))
  local secret = file:read("a"):match("^%s*([%w_]+)%s*$")
  file:close()
  return secret or error(name .. " does not hold the secret of an API client")
end

----------------------------------------------------------------------------
-- What Dovecot calls

function script_init(arguments)
  version_23 = arguments == nil -- 2.4 hands over its settings lua_settings
  if not settings.url:find("^https://") then
    error("authserver.url has to begin with https://")
  end
  authorization = "Bearer " .. read_secret(settings.secret_file)
  return 0
end

function auth_password_verify(request, password)
  -- The names of 2.4, else those of 2.3.
  local service = request.protocol or request.service
  local remote_ip = request.remote_ip or request.rip
  if not utf8.len(request.user) or not utf8.len(password) then
    return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, "not UTF-8" -- nobody's, and JSON cannot say it
  end
  client = client or new_client(settings.timeout or 10)
  local http = client:request({ url = settings.url, method = "POST" })
  http:add_header("Authorization", authorization)
  http:add_header("Content-Type", "application/json")
  http:set_payload(question(request.user, password, service, remote_ip))
  local response = http:submit()
  return result_of(response:status(), response:payload())
end

-- Dovecot 2.4 asks what the key of its cache is; 2.3 is told by cache_key. App
-- passwords are limited to services and networks.
function auth_passdb_get_cache_key()
  return "%{user}\t%{protocol}\t%{remote_ip}"
end
