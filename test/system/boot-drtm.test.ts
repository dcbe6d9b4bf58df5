/** A dynamic launch on a real swtpm, through its control channel, and the log that describes it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { compareLaunches, parseBootLog, replayBootLog } from '../../src/boot/index.ts';
import { digest, toHex } from '../../src/bytes/index.ts';
import { extendPcr, readPcrs, type TpmClient } from '../../src/tpm/index.ts';
import { agileLog, specIdPayload, type TestEvent } from '../fixtures/boot-logs.ts';
import { runSwtpm } from '../fixtures/running-swtpm.ts';
import { requires } from './requirements.ts';

/** swtpm_ioctls(3): commands of the control channel. */
const SET_LOCALITY = 5;
const HASH_START = 6;
const HASH_DATA = 7;
const HASH_END = 8;

const SHA256 = 0x000b;
const HASH_START_EVENT = 0x402;
const SLAUNCH_EVENT = 0x502;
/** Marks around what the kernel measured: logged with a digest, and never extended. */
const SLAUNCH_START = 0x503;
const SLAUNCH_END = 0x504;
const LOADER = Buffer.from('the launched environment');

interface Component {
  readonly pcr: 17 | 18;
  readonly name: string;
  readonly content: string;
}
const COMPONENTS: readonly Component[] = [
  { pcr: 17, name: 'Measured initrd', content: 'initrd 1' },
  { pcr: 18, name: 'Measured Kernel command line', content: 'ro quiet' },
  { pcr: 18, name: 'Measured boot parameters', content: 'parameters' },
];

async function control(socket: Socket, command: number, body: Uint8Array = Buffer.alloc(0)): Promise<void> {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(command);
  const answered = once(socket, 'data');
  socket.write(Buffer.concat([head, body]));
  const [answer]: unknown[] = await answered;
  assert.ok(Buffer.isBuffer(answer));
  assert.equal(answer.readUInt32BE(0), 0, `control command ${command}`);
}

async function launch(socket: Socket, tpm: TpmClient, components: readonly Component[]): Promise<void> {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(LOADER.length);
  await control(socket, HASH_START);
  await control(socket, HASH_DATA, Buffer.concat([size, LOADER]));
  await control(socket, HASH_END);
  await control(socket, SET_LOCALITY, Buffer.from([2]));
  for (const { pcr, content } of components) {
    await extendPcr(tpm, pcr, [{ hashAlg: 'sha256', digest: digest('sha256', Buffer.from(content)) }]);
  }
  await control(socket, SET_LOCALITY, Buffer.from([0]));
}

function logOf(components: readonly Component[]) {
  const event = (pcr: number, type: number, data: Buffer, content: Buffer): TestEvent => ({
    pcr,
    type,
    digests: [[SHA256, digest('sha256', content)]],
    data,
  });
  const bytes = agileLog(specIdPayload([[SHA256, 32]]), [
    event(17, HASH_START_EVENT, Buffer.alloc(0), LOADER),
    event(17, SLAUNCH_START, Buffer.alloc(0), Buffer.alloc(0)),
    ...components.map(({ pcr, name, content }) => event(pcr, SLAUNCH_EVENT, Buffer.from(name), Buffer.from(content))),
    event(17, SLAUNCH_END, Buffer.alloc(0), Buffer.alloc(0)),
  ]);
  // Secure Launch's buffer is larger than its log.
  return parseBootLog(Buffer.concat([bytes, Buffer.alloc(0x8000 - bytes.length)]));
}

async function launchPcrs(tpm: TpmClient): Promise<Record<string, string>> {
  const values = await readPcrs(tpm, 'sha256', [17, 18]);
  return Object.fromEntries(values.map(({ index, value }) => [index, toHex(value)]));
}

test(
  'a DRTM sequence after Startup replays to PCR 17 and 18, and a changed component is named',
  requires('swtpm'),
  async () => {
    await using running = await runSwtpm();
    const tpm = await running.client();
    const socket = connect(running.swtpm.control);
    await once(socket, 'connect');
    try {
      const unlaunched = 'ff'.repeat(32);
      assert.deepEqual(await launchPcrs(tpm), { 17: unlaunched, 18: unlaunched });
      const extended = [{ hashAlg: 'sha256', digest: Buffer.alloc(32) }] as const;
      await assert.rejects(extendPcr(tpm, 18, extended), /locality/i);

      await launch(socket, tpm, COMPONENTS);
      const first = logOf(COMPONENTS);
      assert.deepEqual(replayBootLog(first).sha256, await launchPcrs(tpm));

      const altered = COMPONENTS.map((item) => (item.content === 'ro quiet' ? { ...item, content: 'ro debug' } : item));
      await launch(socket, tpm, altered);
      const second = logOf(altered);
      const now = await launchPcrs(tpm);
      assert.deepEqual(replayBootLog(second).sha256, now, 'a launch resets the PCRs of the one before');
      assert.notEqual(replayBootLog(first).sha256?.['18'], now['18']);
      assert.deepEqual(
        compareLaunches(first, second, 'sha256').map(({ kind, pcr, component }) => [kind, pcr, component]),
        [['changed', 18, 'Measured Kernel command line']],
      );
    } finally {
      socket.destroy();
    }
  },
);
