import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding, HostDetail } from './api.ts';
import { ASSURANCE_WORDS, announcement, standingOf, summaryOf } from './verdict-words.ts';

const HOST: HostDetail = {
  id: '1',
  name: 'one\u202e',
  verdict: 'trusted',
  assurance: 'hardware',
  measurer: 'kernel',
  live: true,
  measured: 1,
  findings: [],
  chain: [],
  bank: 'sha256',
  pcrs: [],
};

const finding = (severity: Finding['severity'], message: string): Finding => ({
  code: 'x',
  link: 'files',
  severity,
  title: '',
  advice: '',
  subject: '',
  message,
});

test('a silent host is silent, whatever its last verdict was', () => {
  const silent: HostDetail = { ...HOST, live: false, verdict: 'untrusted' };
  assert.equal(standingOf(silent), 'silent');
  assert.match(summaryOf(silent), /says nothing about its integrity.*last verdict was “not trusted”/);
});

test('a host without a verdict waits for evidence', () => {
  const { verdict: _, ...waiting } = HOST;
  assert.equal(standingOf(waiting), 'waiting');
});

test('an untrusted host is summed up by its worst finding', () => {
  const findings = [finding('warning', 'a warning'), finding('untrusted', 'the cause')];
  assert.equal(summaryOf({ ...HOST, verdict: 'untrusted', findings }), 'the cause');
});

test('what is read aloud holds no character that cannot be seen', () => {
  assert.equal(announcement(HOST), 'one\\u202e: Trusted. Everything that the TPM vouches for is what it should be.');
});

test('demonstration says plainly that it does not protect', () => {
  assert.match(ASSURANCE_WORDS.demonstration.long, /does not protect/);
});
