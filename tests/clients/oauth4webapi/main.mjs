// A strict client that nobody here wrote, oauth4webapi, against the built server, as its documentation
// says: discovery, client credentials, code with PKCE, refresh, introspection, revocation, JWTs.

import assert from 'node:assert/strict';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';

import { EMAIL, PASSWORD, ask, start } from '../../browser/server.mjs';

// The one check that is taken off: plain HTTP, which is for loopback.
const insecure = { [oauth.allowInsecureRequests]: true };
const CALLBACK = 'http://127.0.0.1:49152/callback';

const server = await start();
const issuer = new URL(server.url);
const as = await oauth.processDiscoveryResponse(
  issuer,
  await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }),
);

const register = (name, more) =>
  ask(server, 'POST', '/v1/orgs/acme/clients', {
    name,
    grant_types: ['client_credentials'],
    scopes: ['files:read', 'files:write'],
    ...more,
  });

/** What a value stands for that is written in HTML. */
const unescaped = (text) =>
  text
    .replaceAll(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&');

/** A person in a browser without JavaScript: cookies, forms, redirects. */
function person() {
  const jar = new Map();
  const go = async (address, form) => {
    const answer = await fetch(new URL(address, server.url), {
      method: form ? 'POST' : 'GET',
      body: form && new URLSearchParams(form),
      redirect: 'manual',
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; ') },
    });
    for (const line of answer.headers.getSetCookie()) {
      const [name, ...value] = line.split(';')[0].split('=');
      jar.set(name, value.join('='));
    }
    return answer;
  };
  const fields = (html) =>
    Object.fromEntries(
      [...html.matchAll(/<input[^>]*>/g)]
        .map(([tag]) => [/name="([^"]*)"/.exec(tag)?.[1], /value="([^"]*)"/.exec(tag)?.[1] ?? ''])
        .filter(([name]) => name)
        .map(([name, value]) => [name, unescaped(value)]),
    );
  
  return {
    /** Follows an authorisation to its end and gives the address that the app is called at. */
    async allow(address) {
      let answer = await go(address);
      for (let steps = 0; steps < 10; steps += 1) {
        const to = answer.headers.get('location');
        if (to && !new URL(to, server.url).href.startsWith(server.url)) return new URL(to);
        if (to) {
          answer = await go(to);
          continue;
        }
        const html = await answer.text();
        const filled = fields(html);
        if ('password' in filled) {
          answer = await go('/login', { ...filled, email: EMAIL, password: PASSWORD });
        } else {
          assert.match(html, /name="decision"/, html.slice(0, 500));
          answer = await go('/oauth/authorize', { ...filled, decision: 'allow' });
        }
      }
      throw new Error(`the authorisation does not come to an end: ${answer.status}`);
    },
  };
}

/** Code with PKCE from the first address to the tokens. */
async function codeFlow(registered, authentication, scope = 'files:read files:write') {
  const client = { client_id: registered.client_id };
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const address = new URL(as.authorization_endpoint);
  for (const [name, value] of Object.entries({
    client_id: client.client_id,
    redirect_uri: registered.redirect_uris[0],
    response_type: 'code',
    scope,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })) {
    address.searchParams.set(name, value);
  }
  const back = await person().allow(address);
  const parameters = oauth.validateAuthResponse(as, client, back, state);
  const answer = await oauth.authorizationCodeGrantRequest(
    as,
    client,
    authentication,
    parameters,
    registered.redirect_uris[0],
    verifier,
    insecure,
  );
  return oauth.processAuthorizationCodeResponse(as, client, answer);
}

async function api(token) {
  const answer = await oauth.protectedResourceRequest(
    token,
    'GET',
    new URL('/v1/me', server.url),
    undefined,
    undefined,
    insecure,
  );
  return answer.json();
}

const tests = {
  async 'discovery tells all that a client needs'() {
    assert.equal(as.issuer, server.url);
    assert.ok(as.code_challenge_methods_supported.includes('S256'));
    assert.equal(as.authorization_response_iss_parameter_supported, true);
  },

  async 'client credentials by Basic and in the body'() {
    const registered = await register('Worker');
    const client = { client_id: registered.client_id };
    for (const by of [oauth.ClientSecretBasic, oauth.ClientSecretPost]) {
      const answer = await oauth.clientCredentialsGrantRequest(
        as,
        client,
        by(registered.client_secret),
        { scope: 'files:read' },
        insecure,
      );
      const given = await oauth.processClientCredentialsResponse(as, client, answer);
      assert.equal(given.scope, 'files:read');
      assert.equal((await api(given.access_token)).type, 'client');
    }
    const wrong = await oauth.clientCredentialsGrantRequest(
      as,
      client,
      oauth.ClientSecretBasic('wrong'),
      {},
      insecure,
    );
    await assert.rejects(oauth.processClientCredentialsResponse(as, client, wrong));
  },

  async 'code, refresh with rotation, introspection, revocation'() {
    const registered = await register('Your App', {
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [CALLBACK],
    });
    const client = { client_id: registered.client_id };
    const by = oauth.ClientSecretPost(registered.client_secret);
    const first = await codeFlow(registered, by);
    assert.equal((await api(first.access_token)).email, EMAIL);
    const answer = await oauth.refreshTokenGrantRequest(as, client, by, first.refresh_token, insecure);
    const second = await oauth.processRefreshTokenResponse(as, client, answer);
    assert.notEqual(second.refresh_token, first.refresh_token);
    const about = async (token, way) =>
      oauth.processIntrospectionResponse(
        as,
        client,
        await oauth.introspectionRequest(as, client, way, token, insecure),
      );
    // It form-encodes what Basic carries as RFC 6749 says: `-` and `_` are `%2D` and `%5F`.
    const byBasic = oauth.ClientSecretBasic(registered.client_secret);
    for (const way of [by, byBasic]) {
      const told = await about(second.access_token, way);
      assert.equal(told.active, true);
      assert.equal(told.client_id, registered.client_id);
    }
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(as, client, byBasic, second.refresh_token, insecure),
    );
    assert.deepEqual(await about(second.access_token, by), { active: false });
  },

  async 'a public client on another loopback port than it registered'() {
    const registered = await register('Phone', {
      type: 'public',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [CALLBACK],
    });
    const elsewhere = CALLBACK.replace('49152', '61234');
    const given = await codeFlow({ ...registered, redirect_uris: [elsewhere] }, oauth.None());
    assert.equal((await api(given.access_token)).email, EMAIL);
  },

  async 'JWT access tokens are what RFC 9068 says, by three algorithms'() {
    const { privateKey } = await jose.generateKeyPair('RS256', { extractable: true });
    const pem = await jose.exportPKCS8(privateKey);
    await ask(server, 'POST', '/v1/signing-keys', { algorithm: 'RS256', private_key_pem: pem });
    const resource = 'https://api.example.com';
    for (const signing_algorithm of ['ES256', 'EdDSA', 'RS256']) {
      const registered = await register(`Signed by ${signing_algorithm}`, {
        access_token_format: 'jwt',
        signing_algorithm,
        resources: [resource],
      });
      const client = { client_id: registered.client_id };
      const answer = await oauth.clientCredentialsGrantRequest(
        as,
        client,
        oauth.ClientSecretBasic(registered.client_secret),
        { resource },
        insecure,
      );
      const given = await oauth.processClientCredentialsResponse(as, client, answer);
      const keys = jose.createRemoteJWKSet(new URL(as.jwks_uri));
      const verified = await jose.jwtVerify(given.access_token, keys, {
        issuer: as.issuer,
        audience: resource,
        typ: 'at+jwt',
      });
      assert.equal(verified.protectedHeader.alg, signing_algorithm);
      assert.equal(verified.payload.client_id, registered.client_id);
      if (signing_algorithm !== 'EdDSA') {
        const request = new Request(resource, {
          headers: { authorization: `Bearer ${given.access_token}` },
        });
        await oauth.validateJwtAccessToken(as, request, resource, {
          signingAlgorithms: [signing_algorithm],
          ...insecure,
        });
      }
      // It is for another server, so this one does not take it.
      const refused = await fetch(new URL('/v1/me', server.url), {
        headers: { authorization: `Bearer ${given.access_token}` },
      });
      assert.equal(refused.status, 401);
    }
  },
};

let [passed, failed] = [0, 0];
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    passed += 1;
    console.log(`ok    oauth4webapi: ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  oauth4webapi: ${name}\n${error.stack}\n${error.cause ? JSON.stringify(error.cause) : ''}`);
  }
}
await server.stop();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
