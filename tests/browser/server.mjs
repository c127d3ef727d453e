// The built binary on a data folder of its own, and what the pages need to be there beforehand.

import { spawn, spawnSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer as createTlsServer } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const EMAIL = 'ada@example.com';
export const PASSWORD = 'correct horse battery staple';

/** A port that nobody has. */
export async function freePort(host = '127.0.0.1') {
  const taken = createServer();
  await new Promise((resolve, reject) => taken.once('error', reject).listen(0, host, resolve));
  const { port } = taken.address();
  await new Promise((resolve) => taken.close(resolve));
  return port;
}

/** Starts the server and answers when it is ready. */
export async function start() {
  const room = await mkdtemp(join(tmpdir(), 'keyledger-browser-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('KEYLEDGER_'));
  const log = openSync(join(room, 'server.log'), 'w');
  const child = spawn(
    process.env.KEYLEDGER_BIN,
    ['serve', '--listen', `127.0.0.1:${port}`, '--data-dir', join(room, 'data')],
    {
      env: {
        ...Object.fromEntries(own),
        KEYLEDGER_BOOTSTRAP_EMAIL: EMAIL,
        KEYLEDGER_BOOTSTRAP_PASSWORD: PASSWORD,
        KEYLEDGER_BOOTSTRAP_ORG: 'acme',
      },
      stdio: ['ignore', log, log],
    },
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  for (let tries = 0; ; tries += 1) {
    const ready = await fetch(`${url}/health/ready`).catch(() => null);
    if (ready?.ok) break;
    if (tries === 300 || child.exitCode !== null) {
      throw new Error(`the server did not start:\n${await readFile(join(room, 'server.log'), 'utf8')}`);
    }
    await sleep(100);
  }
  return {
    url,
    async stop() {
      child.kill('SIGTERM');
      await ended;
      await rm(room, { recursive: true });
    },
  };
}

/** An app on the web: TLS with a certificate that nobody vouches for, and a page for every path. */
export async function startApp(name) {
  const room = await mkdtemp(join(tmpdir(), 'keyledger-browser-app-'));
  const [key, cert] = [join(room, 'key.pem'), join(room, 'cert.pem')];
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-keyout', key, '-out', cert],
  ]);
  if (made.status !== 0) throw new Error(`openssl made no certificate: ${made.stderr}`);
  const pages = new Map();
  const tls = createTlsServer({ key: await readFile(key), cert: await readFile(cert) }, (request, reply) => {
    const path = request.url.split('?')[0];
    reply.setHeader('content-type', 'text/html').end(pages.get(path) ?? '<title>the app</title>');
  });
  await rm(room, { recursive: true });
  await new Promise((resolve) => tls.listen(0, '127.0.0.1', resolve));
  return {
    port: tls.address().port,
    pages,
    stop() {
      tls.closeAllConnections();
      tls.close();
    },
  };
}

/** Asks the API as somebody; what is not 2xx is an error. */
export async function ask(server, method, path, body, [email, password] = [EMAIL, PASSWORD]) {
  const pair = Buffer.from(`${email}:${password}`).toString('base64');
  const answer = await fetch(server.url + path, {
    method,
    headers: { authorization: `Basic ${pair}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text && JSON.parse(text);
}
