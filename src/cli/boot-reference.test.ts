import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { agileLog, specIdPayload, type TestEvent } from '../../test/fixtures/boot-logs.ts';
import { makePe } from '../../test/fixtures/pe-image.ts';
import { authenticodeDigest } from '../boot/index.ts';
import { digest } from '../bytes/index.ts';
import { checkManifest, type ReferenceManifest } from '../reference/index.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const assay = (...args: readonly string[]) => spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });

const SBAT = 'sbat,1,SBAT Version,sbat,1,https://example.org\nshim.debian,1,Debian,shim,15.8-1,https://example.org\n';
const IMAGE = makePe([{ name: '.sbat', content: Buffer.from(SBAT) }]);

const sha256 = (pcr: number, type: number, value: Uint8Array, data = Buffer.alloc(0)): TestEvent => ({
  pcr,
  type,
  data,
  digests: [[0x000b, value]],
});
const image = (value: Uint8Array): TestEvent => sha256(4, 0x80000003, value);
const action = (text: string): TestEvent =>
  sha256(5, 0x80000007, digest('sha256', Buffer.from(text)), Buffer.from(text));
const logOf = (...events: readonly TestEvent[]): Buffer => agileLog(specIdPayload([[0x000b, 32]]), events);

describe('assay boot reference', () => {
  let folder = '';
  const at = (name: string): string => join(folder, name);

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'assay-boot-reference-'));
    writeFileSync(at('shim.efi'), IMAGE);
    writeFileSync(
      at('a.log'),
      logOf(image(authenticodeDigest(IMAGE, 'sha256')), action('Exit Boot Services Invocation')),
    );
    writeFileSync(at('b.log'), logOf(image(Buffer.alloc(32, 2)), action('Exit Boot Services Invocation')));
    writeFileSync(at('not.log'), 'this is no log');
  });
  after(() => rmSync(folder, { recursive: true }));

  test('several boots become components, their images called by version where a file is at hand', () => {
    const made = assay(
      'boot',
      'reference',
      at('a.log'),
      at('b.log'),
      '--image',
      at('shim.efi'),
      '-o',
      at('out'),
      '--json',
    );
    assert.equal(made.status, 0, made.stderr);
    const { boots, components } = JSON.parse(made.stdout);
    assert.equal(boots, 2);
    const loader = components.find(({ name }: { name: string }) => name === 'boot loader 1 (PCR 4)');
    assert.deepEqual(loader.variants, ['shim 15.8-1 (Debian)', '2']);
    const printed = assay('boot', 'reference', at('a.log'), at('b.log'), '--image', at('shim.efi'));
    assert.equal(printed.stdout, readFileSync(at('out'), 'utf8'));
  });

  test('a manifest keeps what it has and gets the section', () => {
    const manifest: ReferenceManifest = {
      ...{ assayReference: 1, name: 'web', created: '2026-11-24', self: false },
      ...{ files: [], pending: [], deny: [{ path: '/bin/nc', reason: 'not here' }] },
    };
    writeFileSync(at('web.json'), JSON.stringify(manifest));
    const args = [
      '--image',
      at('shim.efi'),
      at('shim.efi'),
      '--manifest',
      at('web.json'),
      '--pcrs',
      '4,5',
      '--leave-out',
      'boot loader 1 (PCR 4)=still in trial',
    ];
    const made = assay('boot', 'reference', at('a.log'), ...args, '-o', at('web.json'));
    assert.equal(made.status, 0, made.stderr);
    const read = checkManifest(JSON.parse(readFileSync(at('web.json'), 'utf8')));
    assert.deepEqual(read.deny, manifest.deny);
    const { components = [] } = read.boot ?? {};
    assert.deepEqual(
      components.map(({ name, anything }) => [name, anything]),
      [
        ['boot loader 1 (PCR 4)', 'still in trial'],
        ['boot actions (PCR 5)', undefined],
      ],
    );
    assert.match(assay('reference', 'check', at('web.json')).stdout, /components\s+2/);
  });

  test('what cannot be done is one line with the file’s name', () => {
    for (const [args, said] of [
      [[at('a.log'), at('not.log')], /not\.log: this is no TCG event log/],
      [[at('a.log'), '--image', at('not.log')], /not\.log: /],
      [[at('a.log'), '--leave-out', 'x (PCR 4)=why'], /names no component of these boots/],
      [[at('a.log'), '--leave-out', 'x'], /COMPONENT=WHY/],
      [[at('a.log'), '--json'], /--json is told beside a file/],
    ] as const) {
      const { status, stderr } = assay('boot', 'reference', ...args);
      assert.equal(status, 2, stderr);
      assert.match(stderr, said);
    }
  });
});
