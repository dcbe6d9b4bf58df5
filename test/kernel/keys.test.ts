/**
 * The judge kernel's trusted and encrypted keys (security/keys/trusted-keys, encrypted-keys) against ours, through one TPM:
 * it opens what we seal, in both forms and with each option that acts on a TPM 2.0, and we open what its `new` makes. That
 * both have the same payload is seen by encrypted keys under it.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  decryptKey,
  type EncryptedFormat,
  encodeEncryptedKey,
  encodeTrustedBlob,
  encryptKey,
  lockPcr,
  parseEncryptedKey,
  parsePolicyFile,
  parseTrustedKey,
  parseTrustedOptions,
  sealTrustedKey,
  type TrustedBlob,
  type UnsealRequest,
  unsealTrustedKey,
} from '../../src/keys/index.ts';
import * as t from '../../src/tpm/index.ts';
import { SoftwareTpm, SWTPM_BANKS } from '../../src/vtpm/index.ts';
import { finished } from '../fixtures/finished.ts';
import { type RunningSwtpm, runSwtpm } from '../fixtures/running-swtpm.ts';
import { keepStorageKey } from '../fixtures/storage-key.ts';
import { type Boot, type Guest, makeGuest } from '../guest/guest.ts';
import { keepPcrs, parsePcrs } from '../guest/pcrs.ts';
import { inPolicySession, policySessionFiles, sendCommand } from '../guest/policy-session.ts';
import type { Step } from '../guest/script.ts';
import { programTree } from '../guest/tree.ts';
import {
  EXTENDED,
  GUARDED_PARENT,
  hashOf,
  inSessionOf,
  isSecret,
  KEY_AUTH,
  LOCKED,
  openingWords,
  PARENT,
  policyCommands,
  sealingWords,
  sealRequest,
  TRUSTED_CASES,
  type TrustedCase,
  unsealRequest,
} from '../guest/trusted-key-cases.ts';
import { makeKey, pipeKey, SAYS, tryKey, tryUpdate } from '../guest/trusted-keys.ts';
import { requires, requiresPath } from '../system/requirements.ts';

const programs = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox', 'keyctl');
const kernel = requiresPath('ASSAY_JUDGE_KERNEL', 'judge kernel');
const ASSAY = join(import.meta.dirname, '../../bin/assay');

/** Where the kernel moves encrypted keys to: a trusted key as their first one, which it asks for (valid_master_desc). */
const KNOWN = { name: 'trusted:known', payload: randomBytes(32) } as const;

const EXTEND = t.marshalCommand(
  t.TPM2_PCR_Extend,
  { pcrHandle: EXTENDED, digests: [{ hashAlg: 'sha256', digest: randomBytes(32) }] },
  [{ sessionHandle: t.TPM_RH.PW, nonce: new Uint8Array(0), sessionAttributes: {}, hmac: new Uint8Array(0) }],
);

const BAD_WORDS = [
  'keyhandle=81000001 keyhandle=81000001',
  'keyhandle=zz',
  'keyhandle=81000001 keyauth=abcd',
  'keyhandle=81000001 blobauth=twenty-one-letters-xx',
  'keyhandle=81000001 migratable=2',
  'keyhandle=81000001 hash=sha3',
  'keyhandle=81000001 policydigest=abcd',
  `keyhandle=81000001 policydigest=${'00'.repeat(32)} hash=sha256`,
  'keyhandle=81000001 pcrlock=x',
  'keyhandle=81000001 pcrlock=24',
  'keyhandle=81000001 colour=blue',
] as const;

/** What ours is called, and the kernel's: ecryptfs wants 16 hex digits. */
const ENCRYPTED: readonly {
  readonly format: EncryptedFormat;
  readonly ours: string;
  readonly theirs: string;
  readonly payload: Buffer;
}[] = [
  { format: 'default', ours: 'ours-short', theirs: 'theirs-short', payload: randomBytes(20) },
  { format: 'default', ours: 'ours-odd', theirs: 'theirs-odd', payload: randomBytes(33) },
  { format: 'default', ours: 'ours-long', theirs: 'theirs-long', payload: randomBytes(4096) },
  { format: 'enc32', ours: 'ours-enc32', theirs: 'theirs-enc32', payload: randomBytes(32) },
  { format: 'ecryptfs', ours: '0123456789abcdef', theirs: 'fedcba9876543210', payload: randomBytes(64) },
];

/** PCRs of a boot that its firmware and kernel extend. */
const BOOT_PCRS = [0, 4, 7, 9];

const FORMS = ['asn1', 'legacy'] as const;
const caseOf = (name: string): TrustedCase => TRUSTED_CASES.find((one) => one.name === name) ?? assert.fail(name);
const loading = (name: string, blob: TrustedBlob, words: readonly string[]): Step =>
  tryKey('trusted', name, ['load', encodeTrustedBlob(blob).toString('hex'), ...words].join(' '));

const skip = programs.skip || kernel.skip;
describe('trusted and encrypted keys before the judge kernel', { skip, timeout: 900_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-kernel-keys-'));
  let guest: Guest;
  let boot: Boot;
  let running: RunningSwtpm;
  let tpm: t.TpmClient;
  /** Ours, by the name that they have in the kernel. */
  const sealed = new Map<string, { readonly blob: TrustedBlob; readonly payload: Buffer }>();
  const ours = (name: string) => sealed.get(name) ?? assert.fail(name);
  const said = (name: string): string => boot.file(name).toString().trim();
  const text = (name: string): string => boot.file(name).toString('latin1');

  before(async () => {
    guest = await makeGuest({ kernel: 'judge', tree: programTree('/usr/bin/keyctl'), banks: SWTPM_BANKS });
    await whileOff(async () => {
      await provision();
      for (const one of TRUSTED_CASES) await sealBoth(one);
      const { payload } = KNOWN;
      sealed.set('known', { blob: await sealTrustedKey(tpm, { payload, parent: PARENT }), payload });
      sealed.set('foreign', { blob: await foreignKey(), payload: Buffer.alloc(0) });
    });
    boot = await guest.boot({ commandLine: [], script: script(), files: files() });
    await powerTpm();
  });
  after(async () => {
    await running?.[Symbol.asyncDispose]();
    await guest?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  async function powerTpm(): Promise<void> {
    running = await runSwtpm(guest.tpmState);
    tpm = await running.client();
  }

  async function whileOff(work: () => Promise<void>): Promise<void> {
    await powerTpm();
    try {
      await work();
    } finally {
      await running[Symbol.asyncDispose]();
    }
  }

  async function provision(): Promise<void> {
    await keepStorageKey(tpm, PARENT);
    await keepStorageKey(tpm, GUARDED_PARENT, KEY_AUTH);
    // A swtpm that is ended without TPM2_Shutdown counts as a wrong try, of which three are allowed.
    const patience = { newMaxTries: 1000, newRecoveryTime: 1000, lockoutRecovery: 1000 };
    await tpm.execute(t.TPM2_DictionaryAttackParameters, { lockHandle: t.TPM_RH.LOCKOUT, ...patience });
  }

  async function sealBoth(one: TrustedCase): Promise<void> {
    const payload = randomBytes(one.bytes ?? 32);
    sealed.set(`${one.name}-asn1`, { blob: await sealedByCommand(one, payload), payload });
    const shorter = payload.subarray(0, 127);
    const legacy = await sealTrustedKey(tpm, { ...sealRequest(one), payload: shorter, form: 'legacy' });
    sealed.set(`${one.name}-legacy`, { blob: legacy, payload: shorter });
  }

  /** `assay key create trusted` with the kernel's own words. */
  async function sealedByCommand(one: TrustedCase, payload: Buffer): Promise<TrustedBlob> {
    const place = (name: string) => join(folder, `${one.name}.${name}`);
    const words = sealingWords(one).map((word) => {
      if (!isSecret(word)) return word;
      const [name = '', value = ''] = word.split('=');
      writeFileSync(place(name), value);
      return `${name}=file:${place(name)}`;
    });
    return createTrusted(one.name, payload, ...words);
  }

  async function createTrusted(name: string, payload: Buffer, ...args: readonly string[]): Promise<TrustedBlob> {
    const place = join(folder, name);
    writeFileSync(`${place}.payload`, payload);
    await tpm.close(); // swtpm serves one connection at a time
    const command = ['key', 'create', 'trusted', '--payload-file', `${place}.payload`, '-o', place, ...args];
    const { status, stderr } = await finished(ASSAY, command, { env: { ...process.env, ASSAY_TPM: running.name } });
    tpm = await running.client();
    assert.equal(status, 0, stderr.toString());
    return parseTrustedKey(readFileSync(place, 'latin1'));
  }

  async function foreignKey(): Promise<TrustedBlob> {
    const machine = SoftwareTpm.manufacture();
    machine.execute(t.marshalCommand(t.TPM2_Startup, { startupType: 'clear' }));
    const execute = async (command: Uint8Array) => machine.execute(command);
    const other = new t.TpmClient({ description: 'software', execute, close: async () => {} });
    await keepStorageKey(other, PARENT);
    return sealTrustedKey(other, { payload: randomBytes(32), parent: PARENT });
  }

  function files(): Record<string, Uint8Array> {
    const sessions = TRUSTED_CASES.map((one) =>
      policySessionFiles(hashOf(one), policyCommands(one.policy ?? []), one.name),
    );
    return Object.assign({ extend: EXTEND }, ...sessions);
  }

  function script(): Step[] {
    return [
      keepPcrs('pcrs-boot', SWTPM_BANKS),
      loading('known', ours('known').blob, []),
      ...TRUSTED_CASES.flatMap((one) => FORMS.flatMap((form) => loadOurs(one, form))),
      ...TRUSTED_CASES.flatMap(makeTheirs),
      ...ENCRYPTED.flatMap(makeEncrypted),
      ...tryRefused(),
      ...sealAnew(),
      ...changePcrs(),
    ];
  }

  function loadOurs(one: TrustedCase, form: TrustedBlob['form']): Step[] {
    const name = `${one.name}-${form}`;
    const { blob, payload } = ours(name);
    const encrypted = encryptKey(payload, { name: `trusted:${name}`, payload });
    return [
      inSessionOf(one, loading(name, blob, openingWords(one, form))),
      makeKey('encrypted', `theirs-${name}`, `new default trusted:${name} 64`),
      makeKey('encrypted', `ours-${name}`, `load ${encodeEncryptedKey(encrypted)}`, [`update ${KNOWN.name}`]),
    ];
  }

  function makeTheirs(one: TrustedCase): Step[] {
    const name = `made-${one.name}`;
    const data = ['new', one.bytes ?? 32, ...sealingWords(one)].join(' ');
    if (one.isTooLongForNew) return [tryKey('trusted', name, data)];
    return [makeKey('trusted', name, data), makeKey('encrypted', `theirs-${name}`, `new default trusted:${name} 64`)];
  }

  function makeEncrypted({ format, payload, ...names }: (typeof ENCRYPTED)[number]): Step[] {
    const line = encodeEncryptedKey(encryptKey(payload, KNOWN, format));
    return [
      makeKey('encrypted', names.ours, `load ${line}`, ['update trusted:plain-asn1']),
      makeKey('encrypted', names.theirs, `new ${format} ${KNOWN.name} ${payload.length}`),
    ];
  }

  const tryRefused = (): Step[] => [
    loading('no-keyauth', ours('keyauth-asn1').blob, []),
    loading('wrong-blobauth', ours('blobauth-password-asn1').blob, ['blobauth=another']),
    loading('foreign', ours('foreign').blob, []),
    loading('no-session', ours('policy-asn1').blob, []),
    loading('no-handle', ours('plain-legacy').blob, []),
    ...BAD_WORDS.map((words, index) => tryKey('trusted', `bad-${index}`, `new 32 ${words}`)),
    ...[31, 129].map((size) => tryKey('trusted', `size-${size}`, `new ${size} keyhandle=81000001`)),
  ];

  const sealAnew = (): Step[] => [
    tryUpdate('trusted', 'fixed-asn1', 'update keyhandle=81000001', 'update-fixed'),
    tryUpdate('trusted', 'migratable-asn1', 'update keyhandle=81000001 hash=sha384', 'update-migratable'),
    pipeKey('trusted', 'migratable-asn1', 'sealed-anew'),
  ];

  function changePcrs(): Step[] {
    const again = (name: string, as: string): Step => {
      const one = caseOf(name);
      return inSessionOf(one, loading(as, ours(`${name}-asn1`).blob, openingWords(one, 'asn1')));
    };
    const plain = encodeTrustedBlob(ours('plain-asn1').blob).toString('hex');
    return [
      sendCommand('extend'),
      again('policy-extended', 'extended'),
      again('policy', 'not-locked'),
      keepPcrs('pcrs-before', SWTPM_BANKS),
      tryKey('trusted', 'lock-none', `load ${plain} pcrlock=0`),
      keepPcrs('pcrs-lock-none', SWTPM_BANKS),
      tryKey('trusted', 'lock-load', `load ${plain} pcrlock=${LOCKED}`),
      again('policy', 'locked'),
      tryKey('trusted', 'lock-new', `new 32 keyhandle=81000001 pcrlock=${EXTENDED}`),
      keepPcrs('pcrs-locked', SWTPM_BANKS),
    ];
  }

  const unsealed = async (blob: TrustedBlob, request: UnsealRequest): Promise<Buffer> =>
    Buffer.from((await unsealTrustedKey(tpm, blob, request)).payload);

  for (const one of TRUSTED_CASES) {
    for (const form of FORMS) {
      test(`the kernel opens ours: ${one.name}, ${form}`, async () => {
        const name = `${one.name}-${form}`;
        const { blob, payload } = ours(name);
        assert.equal(said(name), 'ok');
        assert.equal(decryptKey(parseEncryptedKey(text(`theirs-${name}`)), payload).length, 64);
        assert.deepEqual(decryptKey(parseEncryptedKey(text(`ours-${name}`)), KNOWN.payload), payload);
        assert.deepEqual(await unsealed(blob, unsealRequest(one)), payload);
      });
    }

    if (one.isTooLongForNew) continue;
    test(`we open the kernel's: ${one.name}`, async () => {
      const hex = text(`made-${one.name}`);
      const blob = parseTrustedKey(hex);
      assert.equal(encodeTrustedBlob(blob).toString('hex'), hex);
      const payload = await unsealed(blob, unsealRequest(one));
      assert.equal(payload.length, one.bytes ?? 32);
      assert.equal(decryptKey(parseEncryptedKey(text(`theirs-made-${one.name}`)), payload).length, 64);
    });
  }

  test('but for what is random, the kernel’s blobs are ours', () => {
    for (const one of TRUSTED_CASES.filter(({ isTooLongForNew }) => !isTooLongForNew)) {
      const described = ({ form, parent, emptyAuth, area }: TrustedBlob) => {
        const { nameAlg, authPolicy, objectAttributes } = area;
        const { fixedTPM, fixedParent, ...attributes } = objectAttributes;
        // Left out of the words, the kernel takes migratable=1, and we 0.
        const fixed = one.words.some((word) => word.startsWith('migratable=')) ? { fixedTPM, fixedParent } : {};
        return { form, parent, emptyAuth, nameAlg, authPolicy, attributes, fixed };
      };
      const theirs = parseTrustedKey(text(`made-${one.name}`));
      assert.deepEqual(described(theirs), described(ours(`${one.name}-asn1`).blob), one.name);
    }
  });

  test('what its `new` cannot make the kernel says', () => {
    for (const { name } of TRUSTED_CASES.filter(({ isTooLongForNew }) => isTooLongForNew)) {
      assert.equal(said(`made-${name}`), SAYS.E2BIG, name);
    }
  });

  for (const { format, payload, ...names } of ENCRYPTED) {
    test(`an encrypted key of format ${format} with ${payload.length} bytes under a trusted key, both ways`, () => {
      const moved = parseEncryptedKey(text(names.ours));
      assert.deepEqual([moved.master, moved.format], ['trusted:plain-asn1', format]);
      assert.deepEqual(decryptKey(moved, ours('plain-asn1').payload), payload);
      const theirs = parseEncryptedKey(text(names.theirs));
      assert.equal(decryptKey(theirs, KNOWN.payload).length, payload.length);
      assert.equal(encodeEncryptedKey(theirs), text(names.theirs));
    });
  }

  const refused = [
    ['no-keyauth', 'keyauth-asn1', {}, 'key.wrong-secret'],
    ['wrong-blobauth', 'blobauth-password-asn1', { blobAuth: Buffer.from('another') }, 'key.wrong-secret'],
    ['foreign', 'foreign', {}, 'key.foreign-blob'],
    ['no-session', 'policy-asn1', {}, 'key.policy'],
  ] as const;
  for (const [name, key, request, code] of refused) {
    test(`refused by the kernel with EPERM and here with ${code}: ${name}`, async () => {
      assert.equal(said(name), SAYS.EPERM);
      await assert.rejects(unsealTrustedKey(tpm, ours(key).blob, request), { code });
    });
  }

  test('the older form does not say its storage key, and is refused without', async () => {
    assert.equal(said('no-handle'), SAYS.EINVAL);
    await assert.rejects(unsealTrustedKey(tpm, ours('plain-legacy').blob), { code: 'key.option' });
  });

  test('options and sizes that the kernel refuses are refused', async () => {
    for (const [index, words] of BAD_WORDS.entries()) {
      assert.equal(said(`bad-${index}`), SAYS.EINVAL, words);
      assert.throws(() => parseTrustedOptions(words.split(' ')), { code: 'key.option' }, words);
    }
    for (const size of [31, 129]) {
      assert.equal(said(`size-${size}`), SAYS.EINVAL);
      const request = { payload: Buffer.alloc(size), parent: PARENT };
      await assert.rejects(sealTrustedKey(tpm, request), { code: 'key.size' });
    }
  });

  test('the kernel seals anew what is migratable, and nothing else', async () => {
    assert.match(said('update-fixed'), /Operation not permitted/);
    assert.equal(said('update-migratable'), 'ok');
    const anew = parseTrustedKey(text('sealed-anew'));
    assert.equal(anew.area.nameAlg, 'sha384');
    const { payload, migratable } = await unsealTrustedKey(tpm, anew);
    assert.deepEqual([Buffer.from(payload), migratable], [ours('migratable-asn1').payload, true]);
  });

  test('pcrlock extends its PCR in every bank, with load and new alike, and pcrlock=0 does nothing', () => {
    const [before, none, locked] = ['pcrs-before', 'pcrs-lock-none', 'pcrs-locked'].map((name) =>
      parsePcrs(text(name)),
    );
    assert.deepEqual(['lock-none', 'lock-load', 'lock-new'].map(said), ['ok', 'ok', 'ok']);
    assert.deepEqual(none, before);
    for (const bank of SWTPM_BANKS) {
      const changed = Object.keys(before?.[bank] ?? {}).filter(
        (pcr) => before?.[bank]?.[pcr] !== locked?.[bank]?.[pcr],
      );
      assert.deepEqual(changed, [`${LOCKED}`, `${EXTENDED}`], bank);
    }
  });

  test('a PCR that was extended, or locked, is EPERM there and key.wrong-boot-state here', async () => {
    assert.deepEqual(['not-locked', 'extended', 'locked'].map(said), ['ok', SAYS.EPERM, SAYS.EPERM]);
    await t.extendPcr(tpm, EXTENDED, [{ hashAlg: 'sha256', digest: randomBytes(32) }]);
    await lockPcr(tpm, LOCKED);
    for (const name of ['policy', 'policy-extended'] as const) {
      const request = unsealRequest(caseOf(name));
      for (const blob of [ours(`${name}-asn1`).blob, parseTrustedKey(text(`made-${name}`))]) {
        await assert.rejects(unsealTrustedKey(tpm, blob, request), { code: 'key.wrong-boot-state' });
      }
    }
  });

  test('a key that is sealed to this machine’s boot opens in that boot, and in no other', async () => {
    const values = parsePcrs(text('pcrs-boot')).sha256 ?? {};
    const valuesFile = join(folder, 'values.json');
    const pcrs = Object.fromEntries(BOOT_PCRS.map((pcr) => [pcr, values[pcr]]));
    writeFileSync(valuesFile, JSON.stringify({ pcrs: { sha256: pcrs } }));
    const selection = `sha256:${BOOT_PCRS.join(',')}`;
    const blob = await createTrusted(
      ...(['boot', randomBytes(32), '--keyhandle', '0x81000001', '--pcrs', selection] as const),
      ...['--pcr-values', valuesFile],
    );
    const [policy = assert.fail()] = parsePolicyFile(readFileSync(join(folder, 'boot.policy'), 'utf8'));
    await assert.rejects(unsealTrustedKey(tpm, blob, { policy }), { code: 'key.wrong-boot-state', message: /^PCR 0 / });
    await running[Symbol.asyncDispose]();

    const load = inPolicySession('boot', policy.length, [loading('boot', blob, ['policyhandle=$session'])]);
    const again = (commandLine: readonly string[]) =>
      guest.boot({ commandLine, script: [load], files: policySessionFiles('sha256', policyCommands(policy), 'boot') });
    assert.equal((await again([])).file('boot').toString().trim(), 'ok');
    assert.equal((await again(['quiet'])).file('boot').toString().trim(), SAYS.EPERM);
    await powerTpm();
  });
});
