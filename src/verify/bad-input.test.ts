/** Every bad input of the quote: each has its own finding, and none moves the state. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { Attestation, codes } from '../../test/fixtures/attestation.ts';
import { contentDigest, listPart, Machine, SELECTED } from '../../test/fixtures/machine.ts';
import type { Evidence } from '../evidence/index.ts';
import { verify } from './index.ts';

function attested(): Attestation {
  const machine = new Machine();
  machine.measure('/usr/bin/ls', 'ls');
  const files = [{ path: '/usr/bin/ls', digests: [contentDigest('ls')] }];
  const attestation = new Attestation(machine, { files, boot: machine.bootReference() });
  assert.equal(attestation.attest().verdict, 'trusted');
  return attestation;
}

/** Verifies forged evidence after a good round; the state must stay as it was. */
function rejected(forge: (attestation: Attestation, nonce: Uint8Array) => Partial<Evidence>): string[] {
  const attestation = attested();
  const nonce = attestation.nextNonce();
  const before = attestation.state;
  const result = attestation.verify(attestation.ask(nonce, forge(attestation, nonce)), nonce);
  assert.deepEqual([result.verdict, result.verified], ['untrusted', false]);
  assert.deepEqual(attestation.state, before);
  return codes(result);
}

test('a replayed quote is refused by its nonce', () => {
  assert.deepEqual(
    rejected(({ machine }) => ({ quote: machine.quote(new Uint8Array(32).fill(1)) })),
    ['quote.nonce'],
  );
});

test('evidence that names another nonce than its quote is refused', () => {
  assert.deepEqual(
    rejected(() => ({ nonce: new Uint8Array(32) })),
    ['quote.nonce'],
  );
});

test('another host’s attestation key is refused', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  assert.deepEqual(
    rejected(({ machine }, nonce) => ({ quote: machine.quote(nonce, { key: privateKey }) })),
    ['quote.signature'],
  );
});

test('a quote over fewer PCRs is refused', () => {
  assert.deepEqual(
    rejected(({ machine }, nonce) => ({ quote: machine.quote(nonce, { selected: SELECTED.slice(0, 10) }) })),
    ['quote.selection'],
  );
});

test('a quote over another bank is refused', () => {
  const found = rejected(({ machine }, nonce) => ({ quote: machine.quote(nonce, { bank: 'sha1' }) }));
  assert.ok(found.includes('quote.bank'), found.join());
});

test('a quote signed with SHA-1 is refused', () => {
  const found = rejected(({ machine }, nonce) => ({ quote: machine.quote(nonce, { hash: 'sha1' }) }));
  assert.ok(found.includes('quote.algorithm'), found.join());
});

test('PCR values that were not signed are refused', () => {
  const found = rejected(({ machine }, nonce) => {
    const quote = machine.quote(nonce);
    return { quote: { ...quote, pcrs: { sha256: { ...quote.pcrs.sha256, 10: new Uint8Array(32) } } } };
  });
  assert.deepEqual(found, ['quote.pcr-digest']);
});

test('a message that no TPM made, or of another kind, is refused by its own name', () => {
  const forged = (at: number) =>
    rejected(({ machine }, nonce) => {
      const quote = machine.quote(nonce);
      const message = Uint8Array.from(quote.message);
      message[at] = (message[at] ?? 0) ^ 1;
      return { quote: { ...quote, message } };
    });
  assert.ok(forged(0).includes('quote.magic'));
  assert.ok(forged(5).includes('quote.malformed') || forged(5).includes('quote.type'));
});

test('the other measurer’s list is refused', () => {
  assert.deepEqual(
    rejected(() => ({ measurer: 'user-space' })),
    ['evidence.measurer'],
  );
});

test('an older clock is refused', () => {
  assert.deepEqual(
    rejected(({ machine }, nonce) => {
      machine.clock -= 1;
      return { quote: machine.quote(nonce) };
    }),
    ['clock.backwards'],
  );
  assert.deepEqual(
    rejected(({ machine }, nonce) => {
      machine.restartCount -= 1;
      return { quote: machine.quote(nonce) };
    }),
    ['clock.backwards'],
  );
  assert.deepEqual(
    rejected(({ machine }, nonce) => {
      machine.resetCount -= 1;
      return { quote: machine.quote(nonce) };
    }),
    ['clock.older-boot'],
  );
});

test('a quote made long before it was sent is told by the TPM’s clock', () => {
  const attestation = attested();
  attestation.now += 600_000;
  const late = attestation.attest();
  assert.deepEqual([late.verdict, codes(late)], ['warning', ['clock.drift']]);
});

test('a counter that wraps is not older', () => {
  const machine = new Machine();
  machine.resetCount = 0xffffffff;
  const attestation = new Attestation(machine, { boot: machine.bootReference() });
  assert.equal(attestation.attest().verdict, 'trusted');
  machine.resetCount = 0;
  attestation.attest();
  assert.equal(attestation.attest().verdict, 'trusted');
});

test('a changed list, log or entry is named by its part', () => {
  const fresh = (forge: (machine: Machine) => Partial<Evidence>): string[] => {
    const attestation = attested();
    attestation.state = undefined;
    return codes(attestation.attest(forge(attestation.machine)));
  };
  const list = (at: number) => (machine: Machine) => {
    const changed = Buffer.from(machine.list);
    changed[at] = (changed[at] ?? 0) ^ 1;
    return { imaLog: listPart(changed, 0) };
  };
  assert.deepEqual(fresh(list(5)), ['ima.template-digest']);
  assert.deepEqual(fresh(list(0)), ['ima.list-behind-quote']);
  assert.deepEqual(fresh(list(26)), ['ima.malformed']);
  const log = ({ bootLog }: Machine) => {
    const changed = Buffer.from(bootLog);
    // The last event: 4 bytes of payload, its size, then the SHA-256 digest.
    const at = changed.length - 4 - 4 - 32;
    changed[at] = (changed[at] ?? 0) ^ 1;
    return { bootLog: { kind: 'bytes', bytes: changed } } as const;
  };
  assert.deepEqual(fresh(log), ['boot.log-mismatch']);
  assert.deepEqual(
    fresh(() => ({ bootLog: { kind: 'bytes', bytes: new Uint8Array(10) } })),
    ['boot.log-malformed'],
  );
});

test('truncated evidence gives no verdict, whatever is cut', () => {
  const attestation = attested();
  attestation.state = undefined;
  const whole = attestation.machine.list;
  for (let length = 0; length < whole.length; length++) {
    attestation.state = undefined;
    const result = attestation.attest({ imaLog: listPart(whole.subarray(0, length), 0) });
    assert.ok(!result.verified && result.verdict !== 'trusted', `${length} bytes`);
  }
});

test('a flipped bit anywhere in quote, signature, PCR values or list never verifies, and says which part failed', () => {
  const attestation = attested();
  const nonce = attestation.nextNonce();
  attestation.state = undefined;
  const evidence = attestation.ask(nonce);
  const { enrolment, reference, now } = attestation;
  const parts = {
    message: [evidence.quote.message, /^quote\./],
    signature: [evidence.quote.signature, /^quote\./],
    pcrs: [
      Buffer.concat(SELECTED.map((pcr) => evidence.quote.pcrs.sha256?.[pcr] ?? Buffer.alloc(0))),
      /^quote\.pcr-digest$/,
    ],
    list: [attestation.machine.list, /^ima\./],
  } as const;
  const flip = fc
    .constantFrom('message', 'signature', 'pcrs', 'list')
    .chain((part) => fc.tuple(fc.constant(part), fc.nat(parts[part][0].length * 8 - 1)));
  fc.assert(
    fc.property(flip, ([part, bit]) => {
      const [original, expected] = parts[part];
      const changed = Uint8Array.from(original);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const forged = {
        ...evidence,
        quote: {
          message: part === 'message' ? changed : evidence.quote.message,
          signature: part === 'signature' ? changed : evidence.quote.signature,
          pcrs:
            part === 'pcrs'
              ? { sha256: Object.fromEntries(SELECTED.map((pcr, i) => [pcr, changed.subarray(i * 32, i * 32 + 32)])) }
              : evidence.quote.pcrs,
        },
        imaLog: part === 'list' ? listPart(Buffer.from(changed), 0) : evidence.imaLog,
      };
      const result = verify({ evidence: forged, enrolment, reference, state: undefined, nonce, now });
      // The template's name is in no digest: an entry of another template is told as one that cannot be judged.
      const unjudged = part === 'list' && codes(result).includes('ima.unknown-template');
      assert.ok(unjudged || !result.verified, `${part} bit ${bit}: ${codes(result).join()}`);
      assert.notEqual(result.verdict, 'trusted');
      assert.match(codes(result)[0] ?? '', expected);
    }),
    { numRuns: 300 },
  );
});

test('a flipped bit in the firmware log fails, or changes nothing that is concluded from it', () => {
  const attestation = attested();
  const nonce = attestation.nextNonce();
  attestation.state = undefined;
  const evidence = attestation.ask(nonce);
  const { bootLog } = attestation.machine;
  const { enrolment, reference, now } = attestation;
  const input = { evidence, enrolment, reference, state: undefined, nonce, now };
  const honest = verify(input);
  fc.assert(
    fc.property(fc.nat(bootLog.length * 8 - 1), (bit) => {
      const bytes = Uint8Array.from(bootLog);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const result = verify({ ...input, evidence: { ...evidence, bootLog: { kind: 'bytes', bytes } } });
      if (!result.verified) return assert.match(codes(result)[0] ?? '', /^boot\./);
      // Other banks' digests and remarks are not vouched for, and nothing is concluded from them.
      assert.deepEqual(result.state?.boot?.bootLog?.pcrs, honest.state?.boot?.bootLog?.pcrs);
      assert.ok(
        codes(result).every((code) => code === 'boot.payload-mismatch'),
        codes(result).join(),
      );
    }),
    { numRuns: 300 },
  );
});
