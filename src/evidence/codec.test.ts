import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from 'cborg';
import fc from 'fast-check';
import { EvidenceAnswerCodec, EvidenceCodec } from './codec.ts';
import { EvidenceError } from './error.ts';
import type { Evidence } from './types.ts';

const EVIDENCE: Evidence = {
  version: 1,
  nonce: new Uint8Array(32).fill(7),
  quote: {
    message: Uint8Array.of(1, 2, 3),
    signature: Uint8Array.of(4, 5),
    pcrs: { sha256: { 0: new Uint8Array(32), 10: new Uint8Array(32).fill(9) } },
  },
  measurer: 'kernel',
  bootLog: { kind: 'digest', sha256: new Uint8Array(32) },
  imaLog: { kind: 'part', offset: 4096, bytes: Uint8Array.of(10, 0, 0, 0) },
  userspaceLog: { kind: 'absent', reason: 'systemd does not measure here' },
  observations: [
    { path: '/usr/lib/a\nb.so', digest: 'sha256:00', kind: 'deleted', processes: [{ pid: 812, command: 'nginx' }] },
  ],
};

test('evidence survives its encoding', () => {
  assert.deepEqual(EvidenceCodec.decode(EvidenceCodec.encode(EVIDENCE)), EVIDENCE);
});

test('an answer without a verdict survives its encoding', () => {
  const answer = {
    verdict: undefined,
    findings: [],
    measured: 3,
    next: {
      nonce: new Uint8Array(32),
      selection: { bank: 'sha256', pcrs: [0, 10] },
      imaOffset: 2 ** 40,
      bootLog: 'digest',
      userspaceLogOffset: 0,
      issuedAt: 1_795_000_000_000,
      expiresAt: 1_795_000_060_000,
    },
    retry: true,
    intervalMs: 10_000,
  } as const;
  assert.deepEqual(EvidenceAnswerCodec.decode(EvidenceAnswerCodec.encode(answer)), answer);
});

function refusal(bytes: Uint8Array): EvidenceError {
  try {
    EvidenceCodec.decode(bytes);
  } catch (error) {
    if (error instanceof EvidenceError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

test('evidence cut short anywhere is malformed', () => {
  const whole = EvidenceCodec.encode(EVIDENCE);
  for (let length = 0; length < whole.length; length++) {
    assert.equal(refusal(whole.subarray(0, length)).code, 'evidence.malformed');
  }
});

test('bytes after the evidence are malformed', () => {
  const error = refusal(Buffer.concat([EvidenceCodec.encode(EVIDENCE), Uint8Array.of(0)]));
  assert.equal(error.code, 'evidence.malformed');
  assert.match(error.message, /left over/);
});

test('a field above its bound is too large, and named', () => {
  const error = refusal(
    EvidenceCodec.encode({ ...EVIDENCE, quote: { ...EVIDENCE.quote, message: new Uint8Array(5000) } }),
  );
  assert.equal(error.code, 'evidence.too-large');
  assert.equal(error.place, 'evidence.quote.message');
  assert.ok(error.offset > 0);
});

test('a count of four thousand million is refused before anything is read', () => {
  // {"nonce": [array of 0xffffffff
  const error = refusal(Buffer.from('a8656e6f6e63659affffffff', 'hex'));
  assert.equal(error.code, 'evidence.malformed');
  // The map's own count.
  assert.equal(refusal(Buffer.from('baffffffff', 'hex')).code, 'evidence.too-large');
});

test('a byte string of 4 GB is refused without allocating it', () => {
  assert.match(refusal(Buffer.from('a8656e6f6e63655affffffff00', 'hex')).message, /not enough data/);
});

test('a wrong kind of value is malformed, with the place', () => {
  const raw = {
    ...EVIDENCE,
    quote: { ...EVIDENCE.quote, pcrs: {} },
    imaLog: ['part', { offset: 'x', bytes: new Uint8Array(0) }],
  };
  const error = refusal(encode({ ...raw, bootLog: ['digest', { sha256: new Uint8Array(32) }] }));
  assert.equal(error.place, 'evidence.imaLog.offset');
});

test('an unknown key, a repeated key and a missing key are malformed', () => {
  assert.equal(refusal(encode({ foo: 1 })).code, 'evidence.malformed');
  assert.match(refusal(encode({ nonce: new Uint8Array(32) })).message, /quote: is missing/);
  // {"nonce": h'07…', "nonce": …}
  const one = Buffer.concat([Buffer.from('656e6f6e63655820', 'hex'), new Uint8Array(32)]);
  assert.match(refusal(Buffer.concat([Uint8Array.of(0xa2), one, one])).message, /must come before 'nonce'/);
});

test('a PCR value has the size of its bank', () => {
  const pcrs = { sha256: { 0: new Uint8Array(20) } };
  assert.equal(
    refusal(EvidenceCodec.encode({ ...EVIDENCE, quote: { ...EVIDENCE.quote, pcrs } })).place,
    'evidence.quote.pcrs.sha256.0',
  );
});

test('deep nesting does not exhaust the stack', () => {
  assert.equal(refusal(new Uint8Array(100_000).fill(0x81)).code, 'evidence.malformed');
});

test('any bytes give evidence or a typed error with an offset inside them', () => {
  const whole = EvidenceCodec.encode(EVIDENCE);
  const mutated = fc
    .tuple(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length - 1), fc.nat(255))
    .map(([at, byte, other, second]) => {
      const copy = Uint8Array.from(whole);
      copy[at] = byte;
      copy[other] = second;
      return copy;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (bytes) => {
      try {
        const value = EvidenceCodec.decode(bytes);
        assert.deepEqual(EvidenceCodec.decode(EvidenceCodec.encode(value)), value);
      } catch (error) {
        assert.ok(error instanceof EvidenceError, String(error));
        assert.ok(error.offset >= 0 && error.offset <= bytes.length);
      }
    }),
    { numRuns: 300 },
  );
});
