/** Quotes and credentials between tpm2-tools and us, both ways, on swtpm and on our software TPM served to both. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as t from '../../src/tpm/index.ts';
import { openTpm, SoftwareTpm, serveTpm } from '../../src/vtpm/index.ts';
import { runSwtpm } from '../fixtures/running-swtpm.ts';
import { requires } from './requirements.ts';

const NONCE = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
const SECRET = Buffer.from('0123456789abcdef');
const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');

interface Served {
  /** As TPM2TOOLS_TCTI and ASSAY_TPM take it. */
  readonly name: string;
  close(): Promise<void>;
}

describe('tpm2-tools and us on swtpm', requires('swtpm', 'tpm2_quote'), () =>
  holdInterop(async () => {
    const running = await runSwtpm();
    return { name: running.name, close: async () => running[Symbol.asyncDispose]() };
  }),
);
for (const protocol of ['swtpm', 'mssim'] as const) {
  describe(`tpm2-tools and us on the software TPM, ${protocol}`, requires('tpm2_quote'), () =>
    holdInterop(async () => {
      const software = SoftwareTpm.manufacture();
      software.execute(t.marshalCommand(t.TPM2_Startup, { startupType: 'clear' }));
      const served = await serveTpm(software, { protocol, tcp: { port: 0 } });
      return { name: served.address, close: () => served.close() };
    }),
  );
}

function holdInterop(serve: () => Promise<Served>): void {
  let served: Served;
  let folder = '';
  const at = (name: string): string => join(folder, name);
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'assay-tools-'));
    served = await serve();
  });
  after(async () => {
    await served.close();
    rmSync(folder, { recursive: true });
  });

  /** In a process of its own time: the software TPM answers in this one, which must not block. */
  async function run(program: string, ...args: readonly string[]): Promise<number | null> {
    const env = { ...process.env, TPM2TOOLS_TCTI: served.name, ASSAY_TPM: served.name, TSS2_LOG: 'all+none' };
    const child = spawn(program, args, { cwd: folder, env, stdio: ['ignore', 'ignore', 'pipe'] });
    let complaint = '';
    child.stderr.on('data', (data: Buffer) => {
      complaint += data.toString();
    });
    const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
    lastComplaint = complaint;
    return status;
  }
  let lastComplaint = '';
  async function tool(program: string, ...args: readonly string[]): Promise<void> {
    assert.equal(await run(program, ...args), 0, `${program} ${args.join(' ')}: ${lastComplaint}`);
  }
  const forget = () => tool('tpm2_flushcontext', '-t');

  /** swtpm serves one connection at a time: ours ends before the tools begin. */
  async function withClient<T>(use: (tpm: t.TpmClient) => Promise<T>): Promise<T> {
    const { tpm } = await openTpm(t.parseTpmAddress(served.name));
    try {
      return await use(tpm);
    } finally {
      await tpm.close();
    }
  }

  const checkFiles = (qualification: Uint8Array = NONCE) => {
    const { key } = t.readPublicFile(readFileSync(at('ak.pub')));
    const [message, signature] = [readFileSync(at('q.msg')), readFileSync(at('q.sig'))];
    const pcrs = t.readPcrValues(readFileSync(at('q.pcrs')));
    return t.checkQuote({ key, message, signature, pcrs, qualification });
  };
  const codes = ({ failures }: t.QuoteCheckResult) => failures.map(({ code }) => code);

  for (const [algorithm, hash, scheme] of [
    ['ecc', 'sha256', 'ecdsa'],
    ['ecc384', 'sha384', 'ecdsa'],
    ['rsa', 'sha256', 'rsassa'],
    ['rsa', 'sha384', 'rsassa'],
  ] as const) {
    for (const bank of ['sha256', 'sha384'] as const) {
      test(`their quote verifies here: ${algorithm}, ${scheme} with ${hash}, ${bank} bank`, async () => {
        await tool('tpm2_pcrextend', `23:${bank}=${'5a'.repeat(bank === 'sha256' ? 32 : 48)}`);
        await tool('tpm2_createek', '-c', 'ek.ctx', '-G', 'ecc', '-u', 'ek.pub');
        const key = ['-G', algorithm, '-g', hash, '-s', scheme];
        await tool('tpm2_createak', '-C', 'ek.ctx', '-c', 'ak.ctx', ...key, '-u', 'ak.pub', '-n', 'ak.name');
        await forget();
        const files = ['-m', 'q.msg', '-s', 'q.sig', '-o', 'q.pcrs'];
        const asked = ['-l', `${bank}:0,1,7,10,23`, '-q', NONCE.toString('hex'), '-g', hash];
        await tool('tpm2_quote', '-c', 'ak.ctx', ...asked, ...files);
        await forget();
        assert.deepEqual(codes(checkFiles()), []);
        assert.deepEqual(codes(checkFiles(Buffer.from('00'))), ['quote.nonce']);
        const pcrs = readFileSync(at('q.pcrs'));
        assert.deepEqual(Buffer.from(t.writePcrValues(t.readPcrValues(pcrs))), pcrs);
      });
    }
  }

  for (const kind of ['p256', 'p384', 'rsa2048'] as const) {
    for (const bank of ['sha256', 'sha384'] as const) {
      test(`our quote verifies there: ${kind}, ${bank} bank`, async () => {
        const hash = kind === 'p384' ? 'sha384' : 'sha256';
        const template = t.attestationKeyTemplate(kind, hash);
        const selection = [{ hash: bank, pcrs: [0, 1, 7, 10, 23] }];
        const made = await withClient((tpm) => t.quoteWithNewKey(tpm, template, NONCE, selection));
        writeFileSync(at('ak.pub'), t.writePublicFile(made.area));
        writeFileSync(at('q.msg'), made.message);
        writeFileSync(at('q.sig'), made.signature);
        writeFileSync(at('q.pcrs'), t.writePcrValues(made.pcrs));
        const files = ['-u', 'ak.pub', '-m', 'q.msg', '-s', 'q.sig', '-f', 'q.pcrs', '-g', hash];
        await tool('tpm2_checkquote', ...files, '-q', NONCE.toString('hex'));
        writeFileSync(
          at('q.msg'),
          made.message.map((byte, i) => (i === made.message.length - 1 ? byte ^ 1 : byte)),
        );
        assert.notEqual(await run('tpm2_checkquote', ...files, '-q', NONCE.toString('hex')), 0);
        assert.deepEqual(codes(checkFiles()), ['quote.signature', 'quote.pcr-digest']);
      });
    }
  }

  for (const [algorithm, profile] of [
    ['rsa', 'rsa2048'],
    ['ecc', 'p256'],
  ] as const) {
    test(`a credential made here activates there: EK ${profile}`, async () => {
      await tool('tpm2_createek', '-c', 'ek.ctx', '-G', algorithm, '-u', 'ek.pub');
      const key = ['-G', 'ecc', '-g', 'sha256', '-s', 'ecdsa'];
      await tool('tpm2_createak', '-C', 'ek.ctx', '-c', 'ak.ctx', ...key, '-u', 'ak.pub', '-n', 'ak.name');
      await forget();
      const { area } = t.readPublicFile(readFileSync(at('ek.pub')));
      assert.ok(area !== undefined);
      const made = t.makeCredential(area, readFileSync(at('ak.name')), SECRET);
      writeFileSync(at('credential'), t.writeCredentialFile(made));
      await tool('tpm2_startauthsession', '--policy-session', '-S', 's.ctx');
      await tool('tpm2_policysecret', '-S', 's.ctx', '-c', 'e');
      await forget();
      const keys = ['-c', 'ak.ctx', '-C', 'ek.ctx', '-P', 'session:s.ctx'];
      await tool('tpm2_activatecredential', ...keys, '-i', 'credential', '-o', 'opened');
      assert.deepEqual(readFileSync(at('opened')), SECRET);
      await tool('tpm2_flushcontext', 's.ctx');
      await forget();
    });

    test(`a credential made there activates here: EK ${profile}`, () =>
      withClient(async (first) => {
        const ek = await t.loadEndorsementKey(first, t.EK_PROFILES[profile]);
        const wrapped = await t.createAttestationKey(first, ek);
        await ek.release();
        writeFileSync(at('ek.pub'), t.writePublicFile(ek.area));
        writeFileSync(at('secret'), SECRET);
        const name = Buffer.from(t.objectName(wrapped.area)).toString('hex');
        // without a TPM: it needs none
        const out = spawnSync(
          'tpm2_makecredential',
          ['-T', 'none', '-u', 'ek.pub', '-s', 'secret', '-n', name, '-o', 'c'],
          {
            cwd: folder,
            encoding: 'utf8',
          },
        );
        assert.equal(out.status, 0, out.stderr);
        const again = await t.loadEndorsementKey(first, t.EK_PROFILES[profile]);
        const ak = await t.loadAttestationKey(first, again, wrapped);
        const credential = t.readCredentialFile(readFileSync(at('c')));
        assert.deepEqual(Buffer.from(await t.activateCredential(first, again, ak, credential)), SECRET);
        await ak.release();
        await again.release();
      }));
  }

  for (const profile of ['rsa2048', 'p256', 'p384'] as const) {
    for (const kind of t.AK_KINDS) {
      test(`AK ${kind} under EK ${profile}: credential and quote`, () =>
        withClient(async (tpm) => {
          const ek = await t.loadEndorsementKey(tpm, t.EK_PROFILES[profile]);
          const template = t.attestationKeyTemplate(kind, kind === 'p384' ? 'sha384' : 'sha256');
          const ak = await t.loadAttestationKey(tpm, ek, await t.createAttestationKey(tpm, ek, template));
          const credential = t.makeCredential(ek.area, t.objectName(ak.area), SECRET);
          assert.deepEqual(Buffer.from(await t.activateCredential(tpm, ek, ak, credential)), SECRET);
          const selection = [{ hash: 'sha384', pcrs: [3, 23] } as const];
          const signed = await t.quote(tpm, ak.handle, NONCE, selection);
          const pcrs = [{ hash: 'sha384', pcrs: await t.readPcrs(tpm, 'sha384', [3, 23]) } as const];
          const key = t.publicKeyOf(ak.area);
          assert.deepEqual(codes(t.checkQuote({ ...signed, pcrs, key, qualification: NONCE, selection })), []);
          await ak.release();
          await ek.release();
        }));
    }
  }

  test('the command line makes a quote, and its own line for tpm2_checkquote accepts it', async () => {
    const files = ['--public', 'a', '--message', 'm', '--signature', 's', '--pcrs', 'p', '--qualification', 'c0ffee'];
    await tool(process.execPath, MAIN, 'tpm', 'quote', ...files, '--selection', 'sha256:0,10+sha384:all');
    await tool(process.execPath, MAIN, 'tpm', 'check-quote', ...files, '--json');
    await tool('tpm2_checkquote', '-u', 'a', '-m', 'm', '-s', 's', '-f', 'p', '-g', 'sha256', '-q', 'c0ffee');
    assert.equal(await run(process.execPath, MAIN, 'tpm', 'check-quote', ...files.slice(0, -1), 'c0ffed'), 1);
    for (const noun of ['info', 'pcrs']) await tool(process.execPath, MAIN, 'tpm', noun);
    await tool(process.execPath, MAIN, 'tpm', 'random', '100');
  });
}
