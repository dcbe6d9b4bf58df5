/**
 * A server in a process of its own, to be killed: `node serve.ts OPTIONS`, OPTIONS as JSON. Prints one line of JSON once
 * it listens; ends on SIGTERM, gracefully.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { pino } from 'pino';
import { startServer } from '../../src/server/index.ts';
import { JUDGEMENT } from './judgement.ts';

export interface ServeOptions {
  readonly dataFolder: string;
  /** The root of the hosts' EK certificates, DER in base64. */
  readonly root: string;
  readonly joinTokens: number;
  readonly fsync?: 'full' | 'off';
}

export interface Serving {
  readonly url: string;
  readonly certificate: string;
  readonly viewer: string;
  readonly joinTokens: readonly string[];
}

const options: ServeOptions = JSON.parse(process.argv[2] ?? '');
const server = await startServer({
  dataFolder: options.dataFolder,
  listeners: [{ kind: 'tls', address: '127.0.0.1', port: 0 }],
  judgement: JUDGEMENT,
  ekRoots: [{ certificate: Buffer.from(options.root, 'base64'), assurance: 'hardware' }],
  log: pino({ level: 'warn' }, pino.destination(2)),
  settings: { requestsPerSecond: 1_000_000 },
  store: { fsync: options.fsync ?? 'full' },
});
process.once('SIGTERM', () => {
  if (process.connected) process.disconnect();
  void server.stop();
});
const delay = monitorEventLoopDelay({ resolution: 1 });
// A benchmark asks over IPC what it has cost so far, in seconds of CPU, or how long the event loop was held up since it
// last asked, at most, in milliseconds.
process.on('message', (asked) => {
  if (asked === 'delay') {
    process.send?.(delay.max / 1e6);
    delay.reset();
    delay.enable();
    return;
  }
  const { user, system } = process.cpuUsage();
  process.send?.((user + system) / 1e6);
});
const joinTokens = [];
for (let i = 0; i < options.joinTokens; i++) joinTokens.push(await server.joinToken({ label: `host ${i}` }));
const keptViewer = join(options.dataFolder, 'viewer-token');
if (!existsSync(keptViewer)) writeFileSync(keptViewer, await server.bearerToken('viewer', 'test'));
const serving: Serving = {
  url: server.urls[0] ?? '',
  certificate: readFileSync(join(options.dataFolder, 'server', 'tls.pem'), 'utf8'),
  viewer: readFileSync(keptViewer, 'utf8'),
  joinTokens,
};
flushCompileCache(); // a killed process would not write it
process.stdout.write(`${JSON.stringify(serving)}\n`);
