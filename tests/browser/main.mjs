// The pages in a real browser: signing in, being asked, being sent on, with JavaScript and without.
//
// What only a browser does is what is tested here: cookies, the policy of a page held against the
// redirect that follows its form, frames, the way back, colours and widths. The apps are real
// listeners: `https://app.example` is one of this test's, by a name that only this browser knows.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

import { EMAIL, PASSWORD, ask, freePort, start, startApp } from './server.mjs';

const APP = 'https://app.example/cb';
const HOSTILE = '<script>document.title="owned"</script><img src=x onerror=alert(1)>';
const PICTURES = process.env.KEYLEDGER_PICTURES;

const server = await start();
const app = await startApp('app.example');
const browser = await chromium.launch({
  executablePath: process.env.KEYLEDGER_BROWSER,
  args: [
    `--host-resolver-rules=MAP app.example:443 127.0.0.1:${app.port}`,
    // As root, as in many containers, Chromium does not start with its sandbox.
    ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
  ],
});

const register = (name, more = {}) =>
  ask(server, 'POST', '/v1/orgs/acme/clients', {
    name,
    type: 'public',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [APP],
    scopes: ['files:read', 'files:write', 'offline_access'],
    ...more,
  });

/** The address that an app sends somebody to, and its state. */
function request(client, more = {}) {
  const state = randomBytes(9).toString('base64url');
  const challenge = createHash('sha256').update('v'.repeat(43)).digest('base64url');
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri: client.redirect_uris[0],
    scope: 'files:read files:write',
    state,
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...more,
  });
  return { address: `${server.url}/oauth/authorize?${query}`, state };
}

/** A page of a browser of its own. What the browser refuses is gathered and must be nothing. */
async function visit(options, work) {
  const context = await browser.newContext({
    viewport: { width: 1100, height: 800 },
    ignoreHTTPSErrors: true,
    ...options,
  });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => {
    const words = message.text();
    // That we refuse something is an answer like any other.
    const isAnswer = /^Failed to load resource: the server responded with a status of 4/.test(words);
    if (['error', 'warning'].includes(message.type()) && !isAnswer) complaints.push(words);
  });
  page.on('dialog', (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  try {
    await work(page, complaints);
    assert.deepEqual(complaints, [], 'the browser refused something');
  } finally {
    await context.close();
  }
}

async function signIn(page, email = EMAIL, password = PASSWORD) {
  await page.getByLabel('Email or user name').fill(email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

const picture = async (page, name) => {
  if (PICTURES) await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
};

const answerOf = (page, to = APP) => {
  const address = new URL(page.url());
  assert.equal(address.origin + address.pathname, to);
  return Object.fromEntries(address.searchParams);
};

/** A listener on loopback, as an app on the person's machine has. */
async function listener(host) {
  const port = await freePort(host);
  const http = createServer((_, reply) => reply.setHeader('content-type', 'text/html').end('<title>the app</title>'));
  await new Promise((resolve, reject) => http.once('error', reject).listen(port, host, resolve));
  const authority = host.includes(':') ? `[${host}]` : host;
  return { at: `http://${authority}:${port}/cb`, registered: `http://${authority}/cb`, stop: () => http.close() };
}

const tests = {
  async 'n034 and n038: login, consent and the way back, without JavaScript'() {
    const client = await register('CloudSync');
    await visit({ javaScriptEnabled: false }, async (page) => {
      const { address, state } = request(client);
      await page.goto(address);
      assert.match(page.url(), /\/login\?next=/);
      await page.getByText('CloudSync').waitFor();
      await signIn(page);
      await page.getByRole('heading', { name: 'CloudSync asks to act for you' }).waitFor();
      for (const words of ['Read file contents', 'Create and modify files', EMAIL, 'https://app.example']) {
        await page.getByText(words).first().waitFor();
      }
      await page.getByRole('button', { name: 'Allow', exact: true }).click();
      const answer = answerOf(page);
      assert.equal(answer.state, state);
      assert.equal(answer.iss, server.url);
      assert.match(answer.code, /^ac_live_/);
    });
  },

  async 'saying no, with JavaScript'() {
    const client = await register('CloudSync');
    await visit({}, async (page) => {
      const { address, state } = request(client);
      await page.goto(address);
      await signIn(page);
      await page.getByRole('button', { name: 'Don’t allow' }).click();
      const answer = answerOf(page);
      assert.deepEqual(
        { error: answer.error, state: answer.state, iss: answer.iss, code: answer.code },
        { error: 'access_denied', state, iss: server.url, code: undefined },
      );
    });
  },

  async 'n032: the way back to the form answers nothing a second time'() {
    const client = await register('CloudSync');
    await visit({}, async (page, complaints) => {
      await page.goto(request(client).address);
      await signIn(page);
      const csrf = await page.locator('.decide input[name=csrf]').inputValue();
      const asked = await page.locator('.decide input[name=request]').inputValue();
      await page.getByRole('button', { name: 'Don’t allow' }).click();
      const again = await page.context().request.post(`${server.url}/oauth/authorize`, {
        form: { csrf, request: asked, decision: 'allow' },
        maxRedirects: 0,
      });
      assert.equal(again.status(), 400);
      assert.equal(again.headers().location, undefined);
      // The page itself is not stored, so going back asks the server, which asks anew.
      await page.goBack();
      assert.notEqual(await page.locator('.decide input[name=request]').inputValue(), asked);
      complaints.length = 0;
    });
  },

  async 'a remembered yes is not asked for again, also straight from the login'() {
    const client = await register('CloudSync Server', { type: 'confidential' });
    const first = async (page) => {
      await page.goto(request(client).address);
      await signIn(page);
    };
    await visit({}, async (page) => {
      await first(page);
      await page.getByRole('button', { name: 'Allow', exact: true }).click();
      assert.ok(answerOf(page).code);
      await page.goto(request(client).address);
      assert.ok(answerOf(page).code);
      await page.goto(request(client, { prompt: 'consent' }).address);
      await page.getByRole('button', { name: 'Allow', exact: true }).waitFor();
    });
    // Here a form leads to the app by way of two redirects, and the policy of the login holds.
    await visit({}, async (page) => {
      await first(page);
      assert.ok(answerOf(page).code);
    });
  },

  async 'prompt=login asks a person who is signed in for the password, once'() {
    const client = await register('CloudSync');
    await visit({}, async (page) => {
      await page.goto(`${server.url}/login`);
      await signIn(page);
      await page.goto(request(client, { prompt: 'login' }).address);
      assert.match(page.url(), /\/login\?/);
      await signIn(page);
      await page.getByRole('button', { name: 'Allow', exact: true }).click();
      assert.ok(answerOf(page).code);
    });
  },

  async 'n027: an app on this machine gets its answer, and people are warned'() {
    for (const host of ['127.0.0.1', '::1']) {
      let local;
      try {
        local = await listener(host);
      } catch {
        console.log(`     (this machine has no ${host})`);
        continue;
      }
      const client = await register('CloudSync CLI', { redirect_uris: [local.registered] });
      await visit({}, async (page, complaints) => {
        const { address, state } = request(client, { redirect_uri: local.at });
        await page.goto(address);
        await signIn(page);
        await page.getByText('A program on this computer').waitFor();
        await page.getByText('only if you have just started the app yourself').waitFor();
        await picture(page, 'consent-loopback');
        await page.getByRole('button', { name: 'Allow', exact: true }).click();
        assert.equal(answerOf(page, local.at).state, state);
        complaints.length = 0;
      });
      local.stop();
    }
  },

  async 'an app that has a scheme of its own is opened'() {
    const client = await register('CloudSync App', { redirect_uris: ['com.example.cloudsync:/cb'] });
    await visit({}, async (page, complaints) => {
      await page.goto(request(client).address);
      await signIn(page);
      await page.getByText('Another app on this device').waitFor();
      const wire = await page.context().newCDPSession(page);
      await wire.send('Network.enable');
      const answered = new Promise((resolve) => {
        wire.on('Network.responseReceivedExtraInfo', (answer) => answer.statusCode === 303 && resolve(answer));
      });
      await page.getByRole('button', { name: 'Allow', exact: true }).click({ noWaitAfter: true });
      const { headers } = await answered;
      const location = headers.Location ?? headers.location;
      assert.match(location, /^com\.example\.cloudsync:\/cb\?code=ac_live_/);
      // Nothing here opens such links, but the policy of the page must not be what stops it.
      await page.waitForTimeout(300);
      assert.deepEqual(complaints.filter((words) => /Content Security Policy/i.test(words)), []);
      complaints.length = 0;
    });
  },

  async 'n102: names are text, whatever they say'() {
    const client = await register(HOSTILE);
    await visit({}, async (page) => {
      await page.goto(request(client).address);
      await page.getByText(HOSTILE).first().waitFor();
      await signIn(page);
      await page.getByText(HOSTILE).first().waitFor();
      assert.doesNotMatch(await page.title(), /^owned/);
      assert.equal(await page.locator('main img, main script').count(), 0);
      await picture(page, 'consent-hostile');
    });
  },

  async 'n033: no other site puts the question into a frame'() {
    const client = await register('CloudSync');
    await visit({}, async (page, complaints) => {
      await page.goto(`${server.url}/login`);
      await signIn(page);
      const { address } = request(client);
      app.pages.set('/frame', `<iframe src="${address}"></iframe>`);
      await page.goto('https://app.example/frame');
      await page.waitForTimeout(300);
      assert.equal(await page.frames()[1].locator('button').count(), 0);
      complaints.length = 0;
    });
  },

  async 'n021: an unknown app leads nowhere'() {
    await visit({}, async (page, complaints) => {
      const stranger = { client_id: '00000000-0000-4000-8000-000000000000', redirect_uris: ['https://evil.example/cb'] };
      const answer = await page.goto(request(stranger).address);
      assert.equal(answer.status(), 400);
      assert.ok(page.url().startsWith(server.url));
      await picture(page, 'refused');
      complaints.length = 0;
    });
  },

  async 'somebody else signs in and comes back'() {
    const client = await register('CloudSync');
    await visit({}, async (page) => {
      await page.goto(request(client).address);
      await signIn(page);
      await page.getByRole('button', { name: 'Not you? Sign out' }).click();
      await page.getByText('CloudSync').waitFor();
      await signIn(page);
      await page.getByRole('button', { name: 'Allow', exact: true }).waitFor();
    });
  },

  async 'n112: what one may not do is not offered, and strangers to the organization allow nothing'() {
    await ask(server, 'POST', '/v1/orgs/acme/members', { email: 'bob@example.com', password: PASSWORD, role: 'member' });
    const client = await register('Auditor', { scopes: ['files:read', 'audit:read'] });
    await visit({}, async (page) => {
      await page.goto(request(client, { scope: 'files:read audit:read' }).address);
      await signIn(page, 'bob@example.com');
      await page.getByText('more than you may do yourself').waitFor();
      assert.equal(await page.locator('.rights code').allTextContents().then((all) => all.join()), 'files:read');
      await page.goto(request(client, { scope: 'audit:read' }).address);
      await page.getByText('You cannot allow this').waitFor();
      assert.equal(await page.getByRole('button', { name: 'Allow', exact: true }).count(), 0);
      await picture(page, 'consent-barred');
      await page.getByRole('button', { name: 'Go back without' }).click();
      assert.equal(answerOf(page).error, 'access_denied');
    });
  },

  async 'the front page takes an app its rights back, and signs out everywhere'() {
    const client = await register('Reports', { type: 'confidential' });
    await visit({}, async (page) => {
      await page.goto(request(client).address);
      await signIn(page);
      await page.getByRole('button', { name: 'Allow', exact: true }).click();
      await page.goto(`${server.url}/dashboard`);
      const row = page.getByRole('row', { name: /Reports/ });
      await row.getByRole('button', { name: /^Take back/ }).click();
      await page.getByText('can no longer act for you').waitFor();
      assert.equal(await page.getByRole('row', { name: /Reports/ }).count(), 0);
      await page.goto(request(client).address);
      await page.getByRole('button', { name: 'Allow', exact: true }).waitFor();
      await page.goto(`${server.url}/dashboard`);
      await page.getByRole('button', { name: 'Sign out everywhere' }).click();
      await page.getByText('signed out everywhere').waitFor();
      await page.goto(`${server.url}/dashboard`);
      assert.match(page.url(), /\/login/);
    });
  },

  async 'every page is readable in the dark, fits a narrow screen and shows where the keyboard is'() {
    const client = await register('CloudSync');
    const { address } = request(client, { scope: 'files:read files:write offline_access' });
    for (const [colorScheme, width] of [['light', 1100], ['dark', 1100], ['light', 360], ['dark', 320]]) {
      await visit({ colorScheme, viewport: { width, height: 740 } }, async (page) => {
        const look = async (name) => {
          await picture(page, `${name}-${colorScheme}-${width}`);
          const seen = await page.evaluate(measure);
          assert.ok(seen.overflow <= 0, `${name} is ${seen.overflow} px wider than ${width}`);
          assert.deepEqual(seen.faint, [], `${name} in ${colorScheme}: contrast below 4.5`);
          assert.equal(seen.ground < 0.2, colorScheme === 'dark', `the ground of ${name} in ${colorScheme}`);
          await page.keyboard.press('Tab');
          const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
          assert.notEqual(outline, 'none', `no focus to be seen on ${name}`);
        };
        await page.goto(address);
        await look('login');
        await signIn(page, EMAIL, 'wrong');
        await look('login-refused');
        await signIn(page);
        await look('consent');
        await page.goto(`${server.url}/dashboard`);
        await look('dashboard');
      });
    }
  },
};

/** In the page: how much wider it is than the window, and which texts hardly stand out. */
function measure() {
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[\d.]+/g).map((part) => {
      const share = Number(part) / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const groundOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/^rgba\(.*, 0\)$/.test(colour)) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const faint = [];
  for (const element of document.body.querySelectorAll('*')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.getClientRects().length) continue;
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(groundOf(element))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push(element.textContent.trim().slice(0, 40));
  }
  const root = document.documentElement;
  return { overflow: root.scrollWidth - root.clientWidth, faint, ground: luminance(groundOf(document.body)) };
}

let [passed, failed] = [0, 0];
const only = process.argv[2];
for (const [name, test] of Object.entries(tests)) {
  if (only && !name.includes(only)) continue;
  try {
    await test();
    passed += 1;
    console.log(`ok   ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}\n${error.stack}`);
  }
}
await browser.close();
app.stop();
await server.stop();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
