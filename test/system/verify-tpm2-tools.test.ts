/** Evidence whose quote tpm2-tools made on a real swtpm: RSA and ECC keys, SHA-256 and SHA-384 banks. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { digest, toHex } from '../../src/bytes/index.ts';
import type { Evidence } from '../../src/evidence/index.ts';
import { encode, readPcrValues, readPublicFile, TPMT_PUBLIC } from '../../src/tpm/index.ts';
import { checkAkPublic, type Enrolment, verify } from '../../src/verify/index.ts';
import { codes, referenceOf } from '../fixtures/attestation.ts';
import { contentDigest, listPart, Machine, SELECTED } from '../fixtures/machine.ts';
import { requires } from './requirements.ts';

type Tools = (...args: readonly string[]) => void;

async function startSwtpm(t: TestContext): Promise<{ folder: string; tools: Tools }> {
  const folder = mkdtempSync(join(tmpdir(), 'assay-quote-'));
  const socket = join(folder, 'socket');
  const server = ['--server', `type=unixio,path=${socket}`, '--ctrl', `type=unixio,path=${socket}.ctrl`];
  const flags = ['--flags', 'not-need-init,startup-clear'];
  const child = spawn('swtpm', ['socket', '--tpm2', '--tpmstate', `dir=${folder}`, ...server, ...flags], {
    stdio: 'ignore',
  });
  t.after(async () => {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    rmSync(folder, { recursive: true, force: true });
  });
  for (let i = 0; i < 500 && !existsSync(socket); i++) await delay(10);
  const env = { ...process.env, TPM2TOOLS_TCTI: `swtpm:path=${socket}` };
  const tools: Tools = (program = '', ...args) => {
    execFileSync(program, args, { cwd: folder, env, stdio: ['ignore', 'ignore', 'inherit'] });
  };
  return { folder, tools };
}

/** Brings the TPM to where the machine is: its log's events, then its list. */
function bringTpmTo(machine: Machine, tools: Tools): void {
  const boot = ['Booting', '\0\0\0\0'].map((text) => toHex(digest(machine.bank, Buffer.from(text))));
  tools('tpm2_pcrextend', `4:${machine.bank}=${boot[0]}`);
  tools('tpm2_pcrextend', ...[0, 1, 2, 3, 4, 5, 6, 7].map((pcr) => `${pcr}:${machine.bank}=${boot[1]}`));
  for (const value of machine.measured) tools('tpm2_pcrextend', `10:${machine.bank}=${toHex(value)}`);
}

for (const [keyType, scheme, bank] of [
  ['ecc', 'ecdsa', 'sha256'],
  ['rsa', 'rsassa', 'sha256'],
  ['rsa', 'rsapss', 'sha384'],
] as const) {
  test(`a quote by tpm2-tools verifies: ${scheme}, ${bank}`, requires('swtpm', 'tpm2_quote'), async (t) => {
    const { folder, tools } = await startSwtpm(t);
    const file = (name: string): Buffer => readFileSync(join(folder, name));
    const machine = new Machine({ bank });
    machine.measure('/usr/bin/ls', 'ls');
    bringTpmTo(machine, tools);
    tools('tpm2_createek', '-G', 'ecc', '-c', 'ek.ctx');
    const ak = [
      '-C',
      'ek.ctx',
      '-G',
      keyType,
      '-g',
      'sha256',
      '-s',
      scheme,
      '-c',
      'ak.ctx',
      '-u',
      'ak.pub',
      '-n',
      'ak.name',
    ];
    tools('tpm2_createak', ...ak);
    tools('tpm2_flushcontext', '-t');
    const nonce = new Uint8Array(32).fill(0x5a);
    const output = ['-m', 'message', '-s', 'signature', '-o', 'pcrs'];
    tools(
      'tpm2_quote',
      '-c',
      'ak.ctx',
      '-l',
      `${bank}:${SELECTED.join(',')}`,
      '-q',
      toHex(nonce),
      '-g',
      'sha256',
      '--scheme',
      scheme,
      ...output,
    );

    const [values] = readPcrValues(file('pcrs'));
    assert.equal(values?.hash, bank);
    const { area } = readPublicFile(file('ak.pub'));
    assert.ok(area !== undefined);
    const akPublic = encode(TPMT_PUBLIC, area);
    assert.deepEqual(checkAkPublic(akPublic), []);
    const enrolment: Enrolment = machine.enrolment({ akPublic, assurance: 'swtpm' });
    const pcrs = Object.fromEntries(values.pcrs.map(({ index, value }) => [index, value]));
    const evidence: Evidence = {
      version: 1,
      nonce,
      quote: { message: file('message'), signature: file('signature'), pcrs: { [bank]: pcrs } },
      measurer: 'kernel',
      bootLog: { kind: 'bytes', bytes: machine.bootLog },
      imaLog: listPart(machine.list, 0),
      userspaceLog: { kind: 'absent', reason: 'none' },
      observations: [],
    };
    const files = [{ path: '/usr/bin/ls', digests: [contentDigest('ls')] }];
    const reference = referenceOf({ files, boot: machine.bootReference() });
    const input = { evidence, enrolment, reference, state: undefined, nonce, now: 0 };
    const result = verify(input);
    assert.deepEqual([result.verdict, result.assurance, codes(result)], ['trusted', 'swtpm', []]);
    assert.deepEqual(codes(verify({ ...input, nonce: new Uint8Array(32) })), ['quote.nonce', 'quote.nonce']);
  });
}
