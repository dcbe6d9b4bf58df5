/**
 * Every command of the software TPM with each of its bytes damaged: any answer but TPM_RC_FAILURE, which would be a defect of
 * ours, and one that is a response. What is damaged is a command that succeeds, in the state in which it does.
 * test/differential holds the codes themselves against swtpm's.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandName, describeResponseCode, TPM_RC } from '../../src/tpm/index.ts';
import { SoftwareTpm } from '../../src/vtpm/index.ts';
import { COMMAND_NAMES, runPair, type Side } from '../differential/index.ts';

/** In a run, which has every command succeed but for a rare one: then there is another. */
const COMMANDS = 4000;
const SEEDS = [7, 8, 9, 10] as const;

const DAMAGE: readonly ((byte: number) => number)[] = [
  (byte) => byte ^ 0x01,
  (byte) => byte ^ 0x80,
  () => 0x00,
  () => 0xff,
];

/** Each byte damaged in each way, each byte left out, and each end cut off; the size in the header stays right or not. */
function* damaged(command: Uint8Array): Generator<Buffer> {
  for (let at = 0; at < command.length; at++) {
    for (const damage of DAMAGE) {
      const bytes = Buffer.from(command);
      bytes[at] = damage(bytes[at] ?? 0);
      yield bytes;
    }
    const without = Buffer.concat([command.subarray(0, at), command.subarray(at + 1)]);
    const cut = Buffer.from(command.subarray(0, at));
    for (const shorter of [without, cut]) {
      yield shorter;
      if (shorter.length < 6) continue;
      const sized = Buffer.from(shorter);
      sized.writeUInt32BE(sized.length, 2);
      yield sized;
    }
  }
}

interface Tried {
  readonly names: Set<string>;
  readonly wrong: string[];
  sent: number;
}

function isResponse(bytes: Buffer): boolean {
  return bytes.length >= 10 && bytes.readUInt32BE(2) === bytes.length && bytes.readUInt32BE(6) !== TPM_RC.FAILURE;
}

function tryDamaged(state: Uint8Array, command: Uint8Array, locality: number, tried: Tried): void {
  for (const bytes of damaged(command)) {
    const tpm = SoftwareTpm.restore(state);
    tpm.isPhysicallyPresent = true;
    const response = Buffer.from(tpm.execute(bytes, locality));
    tried.sent++;
    if (isResponse(response)) continue;
    const code = response.length < 10 ? 'no response' : describeResponseCode(response.readUInt32BE(6));
    tried.wrong.push(`${code}: ${bytes.toString('hex')}`);
  }
}

/**
 * A software TPM at which somebody is present, as no other tells TPM2_PP_Commands. Of each command the first that succeeds is
 * then tried with damage, in copies of the state before; without `tried`, of none.
 */
function presentSide(tried?: Tried): Side {
  const tpm = SoftwareTpm.manufacture();
  tpm.isPhysicallyPresent = true;
  let locality = 0;
  return {
    name: 'software TPM',
    async execute(command) {
      const name = command.length < 10 ? '' : commandName(Buffer.from(command).readUInt32BE(6));
      if (tried === undefined || tried.names.has(name)) return tpm.execute(command, locality);
      const state = tpm.save();
      const response = tpm.execute(command, locality);
      if (Buffer.from(response).readUInt32BE(6) === TPM_RC.SUCCESS) {
        tried.names.add(name);
        tryDamaged(state, command, locality, tried);
      }
      return response;
    },
    async setLocality(to) {
      locality = to;
    },
    async powerOn() {
      tpm.powerOn();
    },
    close: () => Promise.resolve(),
  };
}

test('every command with any byte damaged gets an answer of the TPM, and never that the TPM failed', async () => {
  const tried: Tried = { names: new Set(), wrong: [], sent: 0 };
  const missing = (): string[] => COMMAND_NAMES.filter((name) => !tried.names.has(name));
  for (const seed of SEEDS) {
    if (missing().length === 0) break;
    await runPair({ seed, commands: COMMANDS, sides: async () => [presentSide(tried), presentSide()] });
  }
  assert.deepEqual(missing(), [], 'commands that never succeeded');
  assert.deepEqual(tried.wrong.slice(0, 20), [], `${tried.wrong.length} of ${tried.sent}`);
});
