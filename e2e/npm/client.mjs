// A relying party made of openid-client, driven over standard input and output.
//
// Each line of input is a JSON object {call, with}: the name of a function below,
// and its parameters. It is answered by one line: {result}, or {error} with what
// openid-client says: its name, message and code, and, of an answer that was an
// OAuth error, error, error_description and status.
//
// The first call is discover. What a login has to remember (the PKCE verifier,
// state and nonce) is kept from one authorize to the callback of the same state.
//
// Whom it trusts is in the file that NODE_EXTRA_CA_CERTS names.
import { createInterface } from "node:readline";
import * as oidc from "openid-client";

let config;
const logins = new Map();

const calls = {
  // discover takes the issuer, and how the client is registered. authentication is
  // client_secret_basic (the default with a secret), client_secret_post,
  // private_key_jwt (with key, a private JWK) or none.
  async discover({ issuer, client_id, client_secret, authentication, key, metadata }) {
    config = await oidc.discovery(
      new URL(issuer),
      client_id,
      metadata,
      await clientAuth(authentication ?? (client_secret ? "client_secret_basic" : "none"), client_secret, key),
    );
    // Otherwise it trusts the connection, and looks at no signature.
    oidc.enableNonRepudiationChecks(config);
    return config.serverMetadata();
  },

  // authorize returns the URL to send the browser to. parameters override what is
  // made up here.
  async authorize({ redirect_uri, scope, ...parameters }) {
    const login = {
      pkceCodeVerifier: oidc.randomPKCECodeVerifier(),
      expectedState: parameters.state ?? oidc.randomState(),
      expectedNonce: parameters.nonce ?? oidc.randomNonce(),
    };
    if (parameters.max_age !== undefined) login.maxAge = Number(parameters.max_age);
    logins.set(login.expectedState, login);
    return oidc.buildAuthorizationUrl(config, {
      redirect_uri,
      scope: scope ?? "openid",
      code_challenge: await oidc.calculatePKCECodeChallenge(login.pkceCodeVerifier),
      code_challenge_method: "S256",
      state: login.expectedState,
      nonce: login.expectedNonce,
      ...parameters,
    }).href;
  },

  // callback takes where the browser was sent back to: the whole URL, and the body
  // of the form if response_mode was form_post. It redeems the code and checks all
  // that comes back.
  async callback({ url, form, parameters }) {
    const answer = form === undefined ? new URL(url).searchParams : new URLSearchParams(form);
    const login = logins.get(answer.get("state"));
    const current =
      form === undefined
        ? new URL(url)
        : new Request(url, { method: "POST", body: new URLSearchParams(form) });
    // With no login of this state, openid-client has no state to expect.
    return tokens(await oidc.authorizationCodeGrant(config, current, { ...login, idTokenExpected: true }, parameters));
  },

  async refresh({ refresh_token, parameters }) {
    return tokens(await oidc.refreshTokenGrant(config, refresh_token, parameters));
  },

  async clientCredentials({ parameters }) {
    return tokens(await oidc.clientCredentialsGrant(config, parameters));
  },

  // userinfo returns the claims. Without sub, any subject will do.
  async userinfo({ access_token, sub }) {
    return oidc.fetchUserInfo(config, access_token, sub ?? oidc.skipSubjectCheck);
  },

  async introspect({ token, parameters }) {
    return oidc.tokenIntrospection(config, token, parameters);
  },

  async revoke({ token, parameters }) {
    await oidc.tokenRevocation(config, token, parameters);
    return null;
  },

  // endSession returns the URL to send the browser to.
  async endSession({ parameters }) {
    return oidc.buildEndSessionUrl(config, parameters).href;
  },
};

async function clientAuth(method, secret, key) {
  switch (method) {
    case "client_secret_basic":
      return oidc.ClientSecretBasic(secret);
    case "client_secret_post":
      return oidc.ClientSecretPost(secret);
    case "private_key_jwt":
      return oidc.PrivateKeyJwt({ key: await privateKey(key), kid: key.kid });
    case "none":
      return oidc.None();
  }
  throw new Error(`unknown client authentication ${method}`);
}

// privateKey is a JWK as the Web Crypto API knows it.
function privateKey(jwk) {
  const algorithm = {
    RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
    PS256: { name: "RSA-PSS", hash: "SHA-256" },
    ES256: { name: "ECDSA", namedCurve: "P-256" },
    EdDSA: { name: "Ed25519" },
  }[jwk.alg];
  return crypto.subtle.importKey("jwk", jwk, algorithm, false, ["sign"]);
}

// tokens is what the token endpoint said, with the claims of the ID token.
function tokens(response) {
  return { ...response, claims: response.claims() };
}

function describe(error) {
  return {
    name: error.name,
    message: error.message,
    cause: error.cause instanceof Error ? error.cause.message : undefined,
    code: error.code,
    error: error.error,
    error_description: error.error_description,
    status: error.status,
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const { call, with: parameters } = JSON.parse(line);
    answer = { result: await calls[call](parameters ?? {}) };
  } catch (error) {
    answer = { error: describe(error) };
  }
  console.log(JSON.stringify(answer));
}
