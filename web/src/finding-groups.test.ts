import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FINDINGS } from '../../src/verify/findings.ts';
import type { Finding } from './api.ts';
import { groupFindings, worstOf } from './finding-groups.ts';
import { type ChainLink, meaningOf, type Severity } from './severity.ts';

function finding(code: string, link: ChainLink, severity: Severity, subject = ''): Finding {
  return { code, link, severity, title: code, advice: '', subject, message: '' };
}

test('findings come by link in the order of the chain, worst first, equal codes together', () => {
  const groups = groupFindings([
    finding('b', 'files', 'warning', '1'),
    finding('a', 'files', 'untrusted'),
    finding('b', 'files', 'warning', '2'),
    finding('c', 'tpm', 'info'),
  ]);
  assert.deepEqual(
    groups.map(({ link, codes }) => [
      link,
      codes.map((group) => [group.code, group.findings.map((one) => one.subject)]),
    ]),
    [
      ['tpm', [['c', ['']]]],
      [
        'files',
        [
          ['a', ['']],
          ['b', ['1', '2']],
        ],
      ],
    ],
  );
});

test('no findings make no groups', () => assert.deepEqual(groupFindings([]), []));

test('the worst of a link is the first of the most severe', () => {
  const worst = finding('x', 'kernel', 'unknown', 'first');
  const findings = [finding('y', 'kernel', 'warning'), worst, finding('x', 'kernel', 'unknown', 'second')];
  assert.equal(worstOf(findings, 'kernel'), worst);
  assert.equal(worstOf(findings, 'tpm'), undefined);
});

test('the meaning comes from the verifier’s table; a code of a newer server has none', () => {
  assert.equal(meaningOf('quote.malformed'), FINDINGS['quote.malformed'].meaning);
  assert.equal(meaningOf('toString'), undefined);
});
