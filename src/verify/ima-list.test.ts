import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Attestation, codes, referenceOf } from '../../test/fixtures/attestation.ts';
import { contentDigest, digestField, Machine, templateFields } from '../../test/fixtures/machine.ts';
import { digest } from '../bytes/index.ts';
import { HELD_UP_GAP, type Unmeasured, unmeasuredDigest } from '../evidence/index.ts';
import { type CompiledReference, imaNgData, type ReferenceManifest, type TaggedDigest } from '../reference/index.ts';

const LS = contentDigest('ls');
const FILES = [{ path: '/usr/bin/ls', digests: [LS], origin: 'coreutils 9.1 (dpkg)' }];

/** What a reference says of a machine after `measure`. */
function judged(measure: (machine: Machine) => void, manifest: Partial<ReferenceManifest> = { files: FILES }) {
  const machine = new Machine();
  measure(machine);
  const attestation = new Attestation(machine, { boot: machine.bootReference(), ...manifest });
  return attestation.attest();
}

const name = (path: string): Buffer => Buffer.from(`${path}\0`);

const marker = (why: Unmeasured, detail: bigint): TaggedDigest =>
  `sha256:${unmeasuredDigest(why, detail).toString('hex')}`;

test('a changed file is named with its origin, what was expected and what was found', () => {
  const result = judged((machine) => machine.measure('/usr/bin/ls', 'other'));
  const [found] = result.findings;
  assert.deepEqual(
    {
      code: found?.code,
      subject: found?.subject,
      expected: found?.expected,
      found: found?.found,
      position: found?.position,
    },
    {
      code: 'file.changed',
      subject: '/usr/bin/ls',
      expected: LS,
      found: contentDigest('other'),
      position: { log: 'ima', index: 1, pcr: 10 },
    },
  );
  assert.match(found?.message ?? '', /\/usr\/bin\/ls has other content .*coreutils 9\.1 \(dpkg\)/);
});

test('an approved content at a wrong path is unknown, and said to be the other’s', () => {
  const result = judged((machine) => machine.measure('/tmp/ls', 'ls'));
  assert.deepEqual(codes(result), ['file.unknown']);
  assert.match(result.findings[0]?.message ?? '', /its content is that of \/usr\/bin\/ls/);
});

test('what a measurer in user space could not see or read is said to be just that', () => {
  const gap = judged((machine) => machine.measureEntry(HELD_UP_GAP, marker('gap', 1_700_000_000_000n)));
  assert.deepEqual([gap.verdict, codes(gap)], ['untrusted', ['ima.gap']]);
  const unreadable = judged((machine) => machine.measureEntry('/usr/bin/ls', marker('unreadable', 0n)));
  assert.deepEqual([unreadable.verdict, codes(unreadable)], ['untrusted', ['file.unreadable']]);
});

test('files that wait for a person are told apart', () => {
  const pending = (reason: 'unpackaged' | 'modified' | 'no-checksum' | 'replaced') =>
    codes(
      judged((machine) => machine.measure('/opt/x', 'x'), {
        pending: [{ path: '/opt/x', digest: contentDigest('x'), reason }],
      }),
    );
  assert.deepEqual(pending('unpackaged'), ['file.unpackaged']);
  assert.deepEqual(pending('modified'), ['file.package-modified']);
  assert.deepEqual(pending('no-checksum'), ['file.no-checksum']);
  assert.deepEqual(pending('replaced'), ['process.deleted-file']);
});

test('a newline in a name stays in the name', () => {
  const result = judged((machine) => machine.measure('/tmp/a\n10 aa ima-ng sha256:00 /usr/bin/ls', 'evil'));
  assert.equal(result.findings[0]?.subject, '/tmp/a\n10 aa ima-ng sha256:00 /usr/bin/ls');
  assert.equal(result.measured, 2);
});

test('every template with digest and name is judged by both', () => {
  const signature = Buffer.from([3, 2, 4]);
  const entry = (machine: Machine, path: string) => {
    machine.append('ima-sig', templateFields(digestField(LS), name(path), signature));
    machine.append('ima-ngv2', templateFields(digestField(LS, 'ima:'), name(path)));
    machine.append('ima-sigv2', templateFields(digestField(LS, 'ima:'), name(path), signature));
    machine.append('d-ng|n-ng', templateFields(digestField(LS), name(path)));
    machine.append(
      'ima-modsig',
      templateFields(digestField(LS), name(path), signature, Buffer.alloc(0), Buffer.alloc(0)),
    );
  };
  assert.deepEqual(codes(judged((machine) => entry(machine, '/usr/bin/ls'))), []);
  assert.deepEqual(codes(judged((machine) => entry(machine, '/tmp/ls'))), new Array(5).fill('file.unknown'));
});

test('whether entries of a longer template were seen before changes no judgement', () => {
  const data = fc.record({
    path: fc.constantFrom('/usr/bin/ls', '/tmp/ls', 'ls'),
    third: fc.constantFrom(Buffer.alloc(0), Buffer.from([3, 2, 4]), Buffer.from('ls')),
    template: fc.constantFrom('ima-sig', 'd-ng|n-ng|xattrnames', 'ima-buf', 'd-ng|n-ng|other', 'ima-ng'),
    spoilt: fc.boolean(),
    violation: fc.boolean(),
    pcr: fc.constantFrom(10, 10, 10, 11),
  });
  const files = [...FILES, { path: 'ls', digests: [LS] }];
  const seen = referenceOf({ files });
  fc.assert(
    fc.property(fc.array(data, { maxLength: 4 }), fc.boolean(), (entries, expired) => {
      const machine = new Machine();
      for (const { path, third, template, spoilt, violation, pcr } of entries) {
        const at = machine.list.length + 4;
        const fields = [digestField(LS), name(path), ...(template === 'ima-ng' ? [] : [third])];
        machine.append(template, templateFields(...fields), { violation, pcr });
        if (spoilt && !violation) machine.list[at] = (machine.list[at] ?? 0) ^ 1;
      }
      const attestation = new Attestation(machine);
      const judge = (reference: CompiledReference) => {
        attestation.reference = reference;
        attestation.state = undefined;
        return attestation.attest().findings;
      };
      const validUntil = expired ? attestation.now - 1 : attestation.now + 1;
      const fresh = () => judge(referenceOf({ files, validUntil }));
      const twice = referenceOf({ files, validUntil });
      judge(twice);
      assert.deepEqual(judge(twice), fresh());
      if (!expired) assert.deepEqual(judge(seen), fresh());
    }),
    { numRuns: 200 },
  );
});

test('a host that invents signatures without end neither fills the memory nor is judged otherwise', () => {
  const machine = new Machine();
  for (let i = 0; i < 2500; i++) {
    const signature = Buffer.from(`\x03\x02${i}`);
    machine.append('ima-sig', templateFields(digestField(LS), name('/usr/bin/ls'), signature));
  }
  const attestation = new Attestation(machine, { files: FILES, boot: machine.bootReference() });
  assert.deepEqual(codes(attestation.attest()), []);
  assert.ok((attestation.reference?.recognised.size ?? 0) <= 1024);
});

test('an fs-verity digest is another than the content’s', () => {
  const verity = (machine: Machine) =>
    machine.append('ima-ngv2', templateFields(digestField(LS, 'verity:'), name('/usr/bin/ls')));
  assert.deepEqual(codes(judged(verity)), ['file.changed']);
  const files = [{ path: '/usr/bin/ls', digests: [`verity:${LS}` as const] }];
  assert.deepEqual(codes(judged(verity, { files })), []);
});

test('a SHA-1 digest never counts as approved by SHA-256, and is weak where it is the reference’s own', () => {
  const legacy = (machine: Machine) => machine.measureEntry('/usr/bin/ls', contentDigest('ls', 'sha1'));
  assert.deepEqual(codes(judged(legacy)), ['file.changed']);
  const files = [{ path: '/usr/bin/ls', digests: [contentDigest('ls', 'sha1')] }];
  assert.deepEqual(codes(judged(legacy, { files })), ['file.weak-digest']);
});

test('a template whose name was exchanged does not hide a file', () => {
  const evil = templateFields(digestField(contentDigest('evil')), name('/tmp/evil'));
  assert.deepEqual(codes(judged((machine) => machine.append('d-ng|buf', evil))), ['ima.unknown-template']);
  assert.deepEqual(codes(judged((machine) => machine.append('evil', evil))), ['ima.unknown-template']);
  const withSignature = Buffer.concat([evil, templateFields(Buffer.from('evil'))]);
  assert.deepEqual(codes(judged((machine) => machine.append('ima-buf', withSignature))), ['file.unknown']);
});

test('what is measured itself is no file', () => {
  const buffer = Buffer.from('root=/dev/sda1 ro');
  const found = digestField(`sha256:${digest('sha256', buffer).toString('hex')}`);
  const result = judged((machine) => machine.append('ima-buf', templateFields(found, name('kexec-cmdline'), buffer)));
  assert.deepEqual([result.verdict, codes(result)], ['trusted', ['ima.buffer']]);
});

test('a violation is a finding, and a warning where the reference expects it', () => {
  const violate = (machine: Machine) => machine.violation('/var/log/wtmp');
  assert.deepEqual(codes(judged(violate)), ['ima.violation']);
  const result = judged(violate, { violations: ['/var/log/**'] });
  assert.deepEqual([result.verdict, codes(result)], ['warning', ['ima.violation-expected']]);
});

test('a violation whose name and digest were exchanged for an approved file’s stays a violation', () => {
  const forged = (machine: Machine) => machine.append('ima-ng', imaNgData('/usr/bin/ls', LS), { violation: true });
  assert.deepEqual(codes(judged(forged)), ['ima.violation']);
});

test('a stored template digest that was changed is told for approved and for unknown entries, by index', () => {
  for (const [content, later] of [
    ['ls', 0],
    ['other', 0],
    // A list this long is known for one of SHA-1 digests before it is replayed, and compared with the reference's.
    ['ls', 10],
    ['other', 10],
  ] as const) {
    const result = judged((machine) => {
      const at = machine.list.length;
      machine.measure('/usr/bin/ls', content);
      machine.list[at + 4] = (machine.list[at + 4] ?? 0) ^ 1;
      for (let i = 0; i < later; i++) machine.measure('/usr/bin/ls', 'ls');
    });
    assert.deepEqual([result.verdict, result.verified, codes(result)], ['untrusted', false, ['ima.template-digest']]);
    assert.equal(result.findings[0]?.position?.index, 1);
  }
});

test('a second boot_aggregate is a kexec; one that does not match this boot is worse', () => {
  const again = judged((machine) => {
    const aggregate = digest('sha256', ...machine.pcrs.slice(0, 10)).toString('hex');
    machine.measureEntry('boot_aggregate', `sha256:${aggregate}`);
  });
  assert.deepEqual([again.verdict, codes(again)], ['warning', ['ima.kexec']]);
  const evil = judged((machine) => machine.measure('boot_aggregate', 'a file of this name on a detached mount'));
  assert.deepEqual(codes(evil), ['ima.boot-aggregate', 'ima.kexec']);
});

test('a list of another boot, or without boot_aggregate, is told', () => {
  const restart = (machine: Machine, first: () => void) => {
    machine.list = Buffer.alloc(0);
    machine.pcrs[10] = Buffer.alloc(32);
    first();
  };
  const other = judged((machine) =>
    restart(machine, () => machine.measureEntry('boot_aggregate', contentDigest('other'))),
  );
  assert.deepEqual(codes(other), ['ima.boot-aggregate']);
  const zero = judged((machine) =>
    restart(machine, () => machine.measureEntry('boot_aggregate', `sha256:${'00'.repeat(32)}`)),
  );
  assert.match(zero.findings[0]?.message ?? '', /saw no TPM/);
  const none = judged((machine) => restart(machine, () => machine.measure('/usr/bin/ls', 'ls')));
  assert.deepEqual(codes(none), ['ima.boot-aggregate']);
});

test('boot_aggregate of an older kernel, over PCR 0–7 alone, matches as well; in the logged SHA-1 bank it is unchecked', () => {
  const first = (tagged: (machine: Machine) => `${string}:${string}`) =>
    codes(
      judged((machine) => {
        const value = tagged(machine);
        machine.list = Buffer.alloc(0);
        machine.pcrs[10] = Buffer.alloc(32);
        machine.measureEntry('boot_aggregate', value);
      }),
    );
  assert.deepEqual(
    first((machine) => `sha256:${digest('sha256', ...machine.pcrs.slice(0, 8)).toString('hex')}`),
    [],
  );
  const sha1 = (): `${string}:${string}` => {
    const extend = (pcr: Buffer, data: Buffer) => digest('sha1', pcr, digest('sha1', data));
    const separated = extend(Buffer.alloc(20), Buffer.alloc(4));
    const four = extend(extend(Buffer.alloc(20), Buffer.from('Booting')), Buffer.alloc(4));
    const pcrs = Array.from({ length: 8 }, (_, pcr) => (pcr === 4 ? four : separated));
    return `sha1:${digest('sha1', ...pcrs).toString('hex')}`;
  };
  assert.deepEqual(first(sha1), ['ima.boot-aggregate-unchecked'], 'nothing vouches for the log’s other banks');
  assert.deepEqual(
    first(() => `sha384:${'11'.repeat(48)}`),
    ['ima.boot-aggregate-unchecked'],
  );
});

test('entries of other PCRs before it stand for no boot_aggregate', () => {
  const wrong = `sha256:${'11'.repeat(32)}` as const;
  for (const before of ['/usr/bin/ls', 'boot_aggregate']) {
    const result = judged((machine) => {
      machine.list = Buffer.alloc(0);
      machine.pcrs[10] = Buffer.alloc(32);
      machine.append('ima-ng', imaNgData(before, before === 'boot_aggregate' ? wrong : LS), { pcr: 11 });
      machine.measure('/usr/bin/ls', 'ls');
    });
    assert.deepEqual([result.verdict, codes(result)], ['untrusted', ['ima.boot-aggregate', 'ima.other-pcr']], before);
  }
});

test('entries for another PCR are judged, and said once', () => {
  const result = judged((machine) => {
    machine.append('ima-ng', imaNgData('/tmp/evil', contentDigest('evil')), { pcr: 11 });
    machine.append('ima-ng', imaNgData('/tmp/worse', contentDigest('worse')), { pcr: 11 });
    machine.measure('/usr/bin/ls', 'ls');
  });
  assert.deepEqual(codes(result), ['file.unknown', 'file.unknown', 'ima.other-pcr']);
});

test('without any measurement, or without PCR 10, the verdict is a warning', () => {
  const machine = new Machine();
  machine.list = Buffer.alloc(0);
  machine.pcrs[10] = Buffer.alloc(32);
  const absent = { imaLog: { kind: 'absent', reason: 'no IMA' } } as const;
  const attestation = new Attestation(machine, { boot: machine.bootReference() });
  assert.deepEqual(codes(attestation.attest(absent)), ['ima.no-list']);
  machine.measure('/usr/bin/ls', 'ls');
  assert.equal(attestation.attest(absent).verdict, undefined);
  const selection = { bank: 'sha256', pcrs: [0, 1, 2, 3, 4, 5, 6, 7] } as const;
  const narrow = new Attestation(machine, { boot: machine.bootReference() }, { selection });
  const nonce = narrow.nextNonce();
  const evidence = narrow.ask(nonce, { quote: machine.quote(nonce, { selected: selection.pcrs }) });
  assert.deepEqual(codes(narrow.verify(evidence, nonce)), ['ima.not-quoted']);
});

test('thousands of findings are bounded and none is forgotten', () => {
  const machine = new Machine();
  for (let i = 0; i < 1200; i++) machine.measure(`/tmp/${i}`, `${i}`);
  const attestation = new Attestation(machine, { boot: machine.bootReference() });
  attestation.attest();
  const { findings, verdict } = attestation.attest();
  assert.deepEqual([verdict, findings.length], ['untrusted', 1001]);
  assert.match(findings.at(-1)?.message ?? '', /200 more times/);
});

test('findings with long names are bounded in characters too, and counted', () => {
  const machine = new Machine();
  for (let i = 0; i < 600; i++) machine.measure(`/tmp/${i}/${'x'.repeat(4000)}`, `${i}`);
  const { findings, verdict } = new Attestation(machine, { boot: machine.bootReference() }).attest();
  assert.equal(verdict, 'untrusted');
  assert.ok(JSON.stringify(findings).length < 1_200_000);
  const more = /(\d+) more times/.exec(findings.at(-1)?.message ?? '');
  assert.equal(findings.length - 1 + Number(more?.[1]), 600);
});

test('the same observation again gives no second finding, and a command is cut', () => {
  const machine = new Machine();
  const processes = [{ pid: 812, command: 'n'.repeat(4000) }];
  const seen = { path: '/usr/bin/ls', digest: LS, kind: 'deleted', processes } as const;
  machine.observations = Array.from({ length: 1000 }, () => seen);
  const { findings } = new Attestation(machine, { boot: machine.bootReference(), files: FILES }).attest();
  const deleted = findings.filter(({ code }) => code === 'process.deleted-file');
  assert.equal(deleted.length, 1);
  assert.match(deleted[0]?.message ?? '', / in n{15}… \(pid 812\)/);
});

test('an observation words the finding of a proven entry, and is dropped where nothing proves it', () => {
  const machine = new Machine();
  machine.measure('/usr/lib/libold.so', 'old');
  const processes = [{ pid: 812, command: 'nginx' }];
  machine.observations = [
    { path: '/usr/lib/libold.so', digest: contentDigest('old'), kind: 'replaced', processes },
    { path: '/usr/lib/never.so', digest: contentDigest('never'), kind: 'deleted', processes },
    { path: '/usr/bin/ls', digest: LS, kind: 'deleted', processes },
    { path: '/x', digest: 'nonsense', kind: 'deleted', processes },
  ];
  const files = [...FILES, { path: '/usr/lib/libold.so', digests: [contentDigest('new')] }];
  const { findings, verdict } = new Attestation(machine, { boot: machine.bootReference(), files }).attest();
  assert.equal(verdict, 'untrusted');
  assert.deepEqual(
    findings.map(({ code }) => code),
    ['file.changed', 'process.deleted-file'],
  );
  assert.match(findings[0]?.message ?? '', /It still runs in nginx \(pid 812\), and its file was replaced on disk\./);
  assert.match(findings[1]?.message ?? '', /^\/usr\/bin\/ls is still running in nginx \(pid 812\).*[Rr]estart/);
});

test('entries in another PCR are told and judged, also after the last that the quote covers', () => {
  const machine = new Machine();
  const deny = [{ path: '/tmp/evil', reason: 'known' }];
  const attestation = new Attestation(machine, { boot: machine.bootReference(), files: FILES, deny });
  machine.append('ima-ng', imaNgData('/usr/bin/ls', LS), { pcr: 11 });
  assert.deepEqual(codes(attestation.attest()), ['ima.other-pcr']);
  machine.append('ima-ng', imaNgData('/tmp/evil', contentDigest('evil')), { pcr: 11 });
  const result = attestation.attest();
  assert.deepEqual(codes(result), ['file.denied', 'ima.other-pcr']);
  assert.deepEqual(result.findings[0]?.position, { log: 'ima', index: 2, pcr: 11 });
  machine.measure('/usr/bin/ls', 'ls');
  assert.deepEqual(codes(attestation.attest()), ['file.denied', 'ima.other-pcr']);
});

test('a thousand warnings push no denied file out', () => {
  const names = Array.from({ length: 1005 }, (_, i) => `/opt/${i}`);
  const result = judged(
    (machine) => {
      for (const path of names) machine.measure(path, path);
      machine.measure('/tmp/evil', 'evil');
    },
    {
      pending: names.map((path) => ({ path, digest: contentDigest(path), reason: 'unpackaged' as const })),
      deny: [{ path: '/tmp/evil', reason: 'known' }],
    },
  );
  assert.deepEqual([result.findings[0]?.code, result.findings[0]?.subject], ['file.denied', '/tmp/evil']);
  assert.equal(result.findings.filter(({ code }) => code === 'file.unpackaged').at(-1)?.subject, '6 more');
});
