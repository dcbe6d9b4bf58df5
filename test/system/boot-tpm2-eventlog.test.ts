/** Our YAML against what the installed tpm2_eventlog (5.4) prints of the same logs. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { digest } from '../../src/bytes/index.ts';
import { agileLog, corpusLogs, needsCorpus, specIdPayload, type TestEvent } from '../fixtures/boot-logs.ts';
import { ourYaml, toolDiffers, toolDiffersAsPrinted, toolYaml, YAML_VERSIONS } from '../fixtures/eventlog-yaml.ts';
import { YAML_DIFFERENCES } from '../fixtures/eventlog-yaml-differences.ts';
import { requires } from './requirements.ts';

const needsTool = requires('tpm2_eventlog');
const DOCUMENT = join(import.meta.dirname, '../../docs/TPM2-EVENTLOG.md');

test('every log of the corpus is printed as tpm2_eventlog prints it, in both versions', {
  skip: needsTool.skip === false ? needsCorpus.skip : needsTool.skip,
}, () => {
  for (const { name, bytes } of corpusLogs()) {
    for (const version of YAML_VERSIONS) assert.deepEqual(toolDiffers(bytes, version), [], `${name}, ${version}`);
  }
});

test(
  'logs of text events of many types, with one digest or two, are printed as tpm2_eventlog prints them',
  needsTool,
  () => {
    const types = [0, 1, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 0x402, 0x502, 0x80000007, 0x80000009];
    const data = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 40 }).map((words) => Buffer.from(words));
    const made = fc.tuple(fc.nat(23), fc.constantFrom(...types), data, fc.boolean());
    const property = fc.property(
      fc.array(made, { minLength: 1, maxLength: 40 }),
      fc.constantFrom(...YAML_VERSIONS),
      (list, version) => {
        const events: TestEvent[] = list.map(([pcr, type, payload, hasTwo]) => ({
          pcr,
          type,
          digests: hasTwo ? [sha(0x0b, payload), sha(0x04, payload)] : [sha(0x0b, payload)],
          data: payload,
        }));
        const log = agileLog(
          specIdPayload(
            [
              [0x0b, 32],
              [0x04, 20],
            ],
            Buffer.from([1, 2]),
          ),
          events,
        );
        assert.deepEqual(toolDiffers(log, version), []);
      },
    );
    fc.assert(property, { numRuns: 40 });
  },
);

function sha(tpmAlg: number, data: Uint8Array): readonly [number, Uint8Array] {
  return [tpmAlg, digest(tpmAlg === 0x04 ? 'sha1' : 'sha256', data)];
}

test('each difference of the table is one, where the table says, and the document tells it', needsTool, () => {
  const document = readFileSync(DOCUMENT, 'utf8');
  for (const { what, log, version, tool } of YAML_DIFFERENCES) {
    assert.deepEqual(toolDiffersAsPrinted(log, version), tool, what);
    assert.ok(document.includes(`| ${what} |`), what);
  }
});

test('up to the place at which tpm2_eventlog stops, both print the same', needsTool, () => {
  for (const { what, log, version, tool } of YAML_DIFFERENCES) {
    if (!tool.includes('stops')) continue;
    const { text } = toolYaml(log, version);
    const begun = text.slice(0, text.lastIndexOf('- EventNum:'));
    assert.ok(begun.length > 0 && ourYaml(log, version).startsWith(begun), what);
  }
});
