/** References made from published logs of real machines. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { corpusFile, corpusLogs, needsCorpus } from '../../../test/fixtures/boot-logs.ts';
import { type BootLog, isExtended, logBanks, parseBootLog } from '../../boot/index.ts';
import type { DigestAlgorithm } from '../../bytes/index.ts';
import { canonicalManifest, parseManifest } from '../manifest.ts';
import type { ReferenceManifest } from '../types.ts';
import { type BootComponent, BootMerger, judgeComponents, mergeBoots } from './index.ts';

const ALL = new Set(Array.from({ length: 24 }, (_, pcr) => pcr));
const THINKPAD = 'ima/sample-binary_bios_measurements-pcrs-8-9';

function throughManifest(components: readonly BootComponent[]): readonly BootComponent[] {
  const boot = { pcrs: {}, events: [], components };
  const about = { assayReference: 1, name: 'fleet', created: '2026-11-24', self: false } as const;
  const manifest: ReferenceManifest = { ...about, boot, files: [], pending: [], deny: [] };
  const read = parseManifest(JSON.stringify(manifest));
  assert.equal(canonicalManifest(read), canonicalManifest(manifest));
  return read.boot?.components ?? [];
}

/** One of the logs names a bank that its events have no digest in. */
const usedBanks = (log: BootLog): DigestAlgorithm[] =>
  logBanks(log).filter((bank) =>
    log.events.filter(isExtended).every(({ digests }) => digests.some(({ algorithm }) => algorithm === bank)),
  );

const variantsOf = (components: readonly BootComponent[], name: string): string[] =>
  components.filter((component) => component.name === name).flatMap(({ variants }) => variants.map((one) => one.name));

test(
  'one reference of all published logs explains each of them in each bank, and none with an event taken out',
  needsCorpus,
  () => {
    const logs = corpusLogs().map(({ name, bytes }): [string, BootLog] => [name, parseBootLog(bytes)]);
    const components = throughManifest(mergeBoots(logs.map(([, log]) => log)));
    for (const [name, log] of logs) {
      for (const bank of usedBanks(log)) {
        assert.deepEqual(judgeComponents(components, log, bank, ALL), [], `${name} ${bank}`);
      }
      const [bank = 'sha1'] = logBanks(log);
      const own = mergeBoots([log]);
      const separators = log.events.filter(({ type }) => type === 4);
      const without = { ...log, events: log.events.filter((event) => !separators.includes(event)) };
      assert.equal(judgeComponents(own, without, bank, ALL).length > 0, separators.length > 0, name);
    }
  },
);

test('variants are called by what the log vouches for', needsCorpus, () => {
  const components = mergeBoots([parseBootLog(corpusFile(THINKPAD))]);
  assert.deepEqual(variantsOf(components, 'firmware (PCR 0)'), ['N24ET56W']);
  assert.deepEqual(variantsOf(components, 'Secure Boot (PCR 7)'), ['on']);
  assert.deepEqual(variantsOf(components, 'Secure Boot keys (PCR 7)'), ['Lenovo Ltd. PK CA 2012']);
  assert.deepEqual(variantsOf(components, 'Secure Boot revocations (PCR 7)'), ['dbx with 77 entries']);
  assert.match(variantsOf(components, 'command line (PCR 8)')[0] ?? '', /^\/boot\/vmlinuz-5\.7\.0-rc2\+\.signed /);
  assert.ok(
    variantsOf(components, 'boot options (PCR 5)').includes(
      'boot option "ubuntu" at "HD(1,GPT)/File(\\\\EFI\\\\ubuntu\\\\shimx64.efi)"',
    ),
  );
});

test('the ThinkPad’s boot options are found in PCR 5 by its quirk, which is said', needsCorpus, () => {
  const merger = new BootMerger();
  merger.addLog(parseBootLog(corpusFile(THINKPAD)));
  assert.deepEqual(
    merger.quirks.map(({ name }) => name),
    ['thinkpad-boot-options-pcr5'],
  );
});
