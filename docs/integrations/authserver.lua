-- A passdb for Dovecot 2.3 and 2.4 that asks POST /verify of authserver.
--
-- It is loaded by a file of the installation, which says where the server is:
--
--   authserver = {
--     url = "https://auth.example.com/verify",
--     secret_file = "/etc/dovecot/authserver.secret", -- of an API client
--     permissions = { "imap" },                       -- optional: all of them are required
--     timeout = 10,                                   -- optional: seconds for the whole question
--   }
--   dofile("/usr/share/authserver/dovecot/authserver.lua")
--
-- Needs Lua 5.3 or newer and the package lua-json. Dovecot verifies the
-- server's certificate, by its settings ssl_client_ca_file or ssl_client_ca_dir.

local json

-- App passwords are limited to services by these names.
local services = { submission = "smtp", submissions = "smtp" }

local settings = authserver
local client, authorization

local function fail(what)
  error("authserver.lua: " .. what, 0)
end

local function read_secret(name)
  local file, problem = io.open(name, "r")
  if not file then
    fail("the secret: " .. problem)
  end
  local secret = file:read("a"):match("^%s*(%S+)%s*$")
  file:close()
  if not secret or secret:find("[^%w_]") then
    fail(name .. " holds no secret of an API client")
  end
  return secret
end

-- new_client returns Dovecot's HTTP client. It follows no redirects: the
-- password is for this server alone.
local function new_client(timeout)
  -- 2.3 passes over settings that it does not know: the check of the version
  -- has to come first. It calls script_init without an argument.
  if settings.dovecot_23 then
    return dovecot.http.client({
      request_timeout_msecs = timeout * 1000,
      request_absolute_timeout_msecs = timeout * 1000,
      max_attempts = 2,
      no_auto_redirect = true,
    })
  end
  return dovecot.http.client({
    request_timeout = timeout .. "s",
    request_absolute_timeout = timeout .. "s",
    request_max_attempts = "2",
    auto_redirect = "no",
  })
end

function script_init(arguments)
  settings.dovecot_23 = arguments == nil
  if type(settings.url) ~= "string" or not settings.url:find("^https://") then
    fail("url is not an https:// URL")
  end
  authorization = "Bearer " .. read_secret(settings.secret_file)
  return 0
end

-- quote returns s as JSON, for any text. json.encode writes \v, which is no
-- JSON.
local function quote(s)
  return '"' .. s:gsub('[%c"\\]', function(c) return string.format("\\u%04x", c:byte()) end) .. '"'
end

local function quote_all(list)
  local quoted = {}
  for i, s in ipairs(list) do
    quoted[i] = quote(s)
  end
  return "[" .. table.concat(quoted, ",") .. "]"
end

local function question(user, password, service, remote_ip)
  local fields = {
    '"username":' .. quote(user),
    '"password":' .. quote(password),
    '"service":' .. quote(services[service] or service),
  }
  if remote_ip and remote_ip ~= "" then
    fields[#fields + 1] = '"remote_ip":' .. quote(remote_ip)
  end
  if settings.permissions then
    fields[#fields + 1] = '"scopes":' .. quote_all(settings.permissions)
  end
  return "{" .. table.concat(fields, ",") .. "}"
end

local function temporary(what)
  return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, "authserver: " .. what
end

-- answer_to returns what Dovecot makes of the server's answer. Only a whole
-- answer admits or refuses anybody; everything else is trouble, and Dovecot
-- goes on with those whose logins it has cached.
local function answer_to(status, payload)
  if status == 429 then
    return temporary("too many wrong passwords")
  elseif status ~= 200 and status ~= 401 and status ~= 403 then
    return temporary("status " .. tostring(status))
  end
  local ok, answer = pcall(json.decode, payload)
  if not ok or type(answer) ~= "table" then
    return temporary("an answer that is not JSON")
  end
  if status == 401 and answer.error == "denied" then
    return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, {}
  elseif status == 403 and answer.error == "forbidden" then
    return dovecot.auth.PASSDB_RESULT_USER_DISABLED, {}
  elseif status == 200 and type(answer.user) == "string" and answer.user ~= "" then
    return dovecot.auth.PASSDB_RESULT_OK, { user = answer.user }
  end
  return temporary("status " .. status .. " without a reason; is the secret right?")
end

function auth_password_verify(request, password)
  -- Names of 2.4, then of 2.3.
  local service = request.protocol or request.service
  local remote_ip = request.remote_ip or request.rip
  if not utf8.len(request.user) or not utf8.len(password) then
    return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, {} -- JSON cannot say it
  end
  client = client or new_client(settings.timeout or 10)
  local http = client:request({ url = settings.url, method = "POST" })
  http:add_header("Authorization", authorization)
  http:add_header("Content-Type", "application/json")
  http:set_payload(question(request.user, password, service, remote_ip))
  local response = http:submit()
  return answer_to(response:status(), response:payload())
end

-- Dovecot 2.4 may use a login again for the same user, service and address:
-- app passwords are limited to services and networks. 2.3 has cache_key.
function auth_passdb_get_cache_key()
  return "%{user}\t%{protocol}\t%{remote_ip}"
end
