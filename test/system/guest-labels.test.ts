/**
 * The kernel judges our labels: a disk that we labelled boots under `ima_appraise=enforce`, files run or are denied as
 * our own appraisal says, by the same cause, and labels that the kernel wrote pass it.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { toHex } from '../../src/bytes/index.ts';
import { signDigest, signFileId } from '../../src/digsig/index.ts';
import { EVM_XATTR, parseEvmXattr } from '../../src/evm/index.ts';
import { encodeImaDigest, encodeImaSignature, IMA_XATTR, parseImaXattr } from '../../src/ima/index.ts';
import { fileSystem, getXattr, setXattr } from '../../src/sys/index.ts';
import { loadEncryptedKey } from '../guest/encrypted-key.ts';
import { answersOf, expectedAnswer, trialList, tryFiles } from '../guest/file-trials.ts';
import { type Boot, type Guest, makeGuest } from '../guest/guest.ts';
import {
  changeContent,
  changeMode,
  digestOf,
  giveTo,
  type Judge,
  type LabelledFile,
  labelWholeDisk,
  ourJudgement,
  placeFiles,
  placeOf,
  setHash,
  setHmac,
  setIma,
  sign,
  signMetadata,
} from '../guest/labelled-files.ts';
import { IN, run, type Step, write } from '../guest/script.ts';
import { keyringOf, makeSigningKey } from '../guest/signing-key.ts';
import { nodeTree, programTree, projectTree } from '../guest/tree.ts';
import { requires, requiresMounts, requiresPath } from './requirements.ts';

const machine = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const programs = requires('openssl', 'keyctl');
const kernel = requiresPath('ASSAY_GUEST_KERNEL', 'Debian package linux-image-cloud-amd64');
const skip = machine.skip || programs.skip || kernel.skip || requiresMounts().skip;

/** With the default list the kernel oopses once the HMAC key is loaded (evm_inode_init_security, a tmpfs file). */
const LSM = 'lsm=landlock,lockdown,yama,integrity,apparmor';
const APPRAISE = ['ima_policy=appraise_tcb', 'ima_hash=sha256', LSM];

const HMAC_KEY = Buffer.from(Array.from({ length: 64 }, (_, index) => index * 3));
const MASTER = { name: 'kmk', payload: Buffer.alloc(32, 0x5a) };

/** Files of this owner must be signed; see the policy. */
const SIGNED_ONLY = 1001;

/** What the kernel does not look at. */
const LABEL_END = Buffer.of(1, 2);

/** CAP_NET_RAW, in the form of `linux/capability.h`, VFS_CAP_REVISION_2. */
const setCapability = (file: string): void =>
  setXattr(file, 'security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex'));

const shell = (text: string): Step => run('sh', '-c', text);

/** `_ima` and `_evm` are ordinary keyrings in this kernel (CONFIG_INTEGRITY_TRUSTED_KEYRING is off). */
const loadCertificate = (keyring: '_ima' | '_evm', certificate: string): Step =>
  shell(`keyctl newring ${keyring} @u && keyctl padd asymmetric '' %keyring:${keyring} <${IN}/${certificate}`);

const loadHmacKey: readonly Step[] = [
  shell(`keyctl padd user ${MASTER.name} @u <${IN}/master`),
  run('keyctl', 'add', 'encrypted', 'evm-key', loadEncryptedKey(HMAC_KEY, MASTER), '@u'),
];

/** @param flags 1: HMAC, 2: X.509 (Documentation/ABI/testing/evm) */
const turnEvmOn = (flags: number): Step => write('/sys/kernel/security/evm', `${flags}`);

describe("labels before Debian's kernel", { skip, timeout: 900_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-labels-'));
  const ima = makeSigningKey(folder, 'ima', ['rsa:2048']);
  const evm = makeSigningKey(folder, 'evm', ['rsa:2048']);
  const stranger = makeSigningKey(folder, 'stranger', ['rsa:2048']);
  const hmac = setHmac(HMAC_KEY);
  const portable = signMetadata(evm.signer, { portable: true });
  const toSignedOnly = giveTo(SIGNED_ONLY);

  /** Judged by the built-in policy, EVM not on. */
  const contents: readonly LabelledFile[] = [
    ['hash', 'pass', setHash],
    ['hash-sha1', 'pass', setIma((file) => encodeImaDigest('sha1', digestOf(file, 'sha1'), { legacy: true }))],
    ['hash-and-more', 'pass', setIma((file) => Buffer.concat([encodeImaDigest('sha256', digestOf(file)), LABEL_END]))],
    ['unlabelled', 'appraise_data missing-hash'],
    ['hash-changed', 'appraise_data invalid-hash', setHash, changeContent],
    [
      'hash-cut',
      'appraise_data invalid-hash',
      setIma((file) => encodeImaDigest('sha256', digestOf(file)).subarray(0, 30)),
    ],
    ['signed', 'pass', sign(ima.signer)],
    ['signed-changed', 'appraise_data invalid-signature', sign(ima.signer), changeContent],
    ['signed-by-stranger', 'appraise_data invalid-signature', sign(stranger.signer)],
    ['signed-by-evm-key', 'appraise_data invalid-signature', sign(evm.signer)],
    [
      'signature-cut',
      'appraise_data invalid-signature',
      setIma((file) => encodeImaSignature(signDigest(ima.signer, 'sha256', digestOf(file))).subarray(0, 100)),
    ],
    ['signature-v0', 'appraise_data unknown', setIma(() => Buffer.from([3, 0, 4, ...Buffer.alloc(64)]))],
    [
      'signature-v3',
      'appraise_data invalid-signature-version',
      setIma((file) => encodeImaSignature(signFileId(ima.signer, 3, 'sha256', digestOf(file)))),
    ],
    [
      // Where no rule asks for fs-verity, the kernel takes what it measured for its digest.
      'verity-signature',
      'pass',
      setIma((file) => encodeImaSignature(signFileId(ima.signer, 6, 'sha256', digestOf(file)), { verity: true })),
    ],
    ['unknown-type', 'appraise_data unknown-ima-data', setIma(() => Buffer.of(9, 1, 2))],
  ];

  /** Judged by the policy that is loaded then, with EVM on. */
  const metadata: readonly LabelledFile[] = [
    ['hmac', 'pass', setHash, hmac],
    ['hmac-with-capability', 'pass', setHash, setCapability, hmac],
    ['hmac-then-capability', 'appraise_data invalid-HMAC', setHash, hmac, setCapability],
    ['hmac-of-other-key', 'appraise_data invalid-HMAC', setHash, setHmac(Buffer.alloc(64, 1))],
    ['hmac-then-mode', 'appraise_data invalid-HMAC', setHash, hmac, changeMode],
    ['hmac-then-content', 'appraise_data invalid-hash', setHash, hmac, changeContent],
    ['hmac-then-content-and-hash', 'appraise_data invalid-HMAC', setHash, hmac, changeContent, setHash],
    ['no-hmac', 'appraise_data missing-HMAC', setHash],
    [
      'evm-unknown-type',
      'appraise_data invalid-HMAC',
      setHash,
      (file) => setXattr(file, EVM_XATTR, Buffer.of(9, 1, 2)),
    ],
    ['metadata-signed', 'pass', setHash, signMetadata(evm.signer)],
    ['metadata-signed-by-stranger', 'appraise_data invalid-HMAC', setHash, signMetadata(stranger.signer)],
    ['portable', 'pass', setHash, portable],
    ['portable-then-mode', 'appraise_data invalid-fail-immutable', setHash, portable, changeMode],
    [
      'portable-by-ima-key',
      'appraise_data invalid-fail-immutable',
      setHash,
      signMetadata(ima.signer, { portable: true }),
    ],
  ];

  /** As {@link metadata}, where the policy wants signatures. */
  const signedOnly: readonly LabelledFile[] = [
    ['must-signed', 'pass', toSignedOnly, sign(ima.signer), hmac],
    ['must-hash', 'appraise_data IMA-signature-required', toSignedOnly, setHash, hmac],
    ['must-unlabelled', 'appraise_data IMA-signature-required', toSignedOnly],
    ['must-hash-portable', 'pass', toSignedOnly, setHash, portable],
  ];

  const keyring = keyringOf(ima);
  const evmOn = { hmacKey: HMAC_KEY, keyring: keyringOf(evm) };
  const groups: readonly { trial: string; files: readonly LabelledFile[]; judge: Judge }[] = [
    { trial: 'contents', files: contents, judge: { type: 'hash', keyring } },
    { trial: 'metadata', files: metadata, judge: { type: 'hash', keyring, evm: evmOn } },
    { trial: 'metadata', files: signedOnly, judge: { type: 'imasig', keyring, evm: evmOn } },
  ];
  const keys = { 'ima.der': ima.certificate, 'evm.der': evm.certificate, master: MASTER.payload };

  let guest: Guest;
  let enforced: Boot;
  /** File name → our judgement before the kernel had the disk. */
  const ours = new Map<string, string>();

  before(async () => {
    const tree = { ...nodeTree(), ...projectTree(), ...programTree('/usr/bin/keyctl'), '/srv/kept': { text: 'one\n' } };
    guest = await makeGuest({ kernel: 'debian', tree, banks: ['sha256'], diskMegabytes: 400 });
    const disk = await guest.onDisk(async (mounted) => {
      await labelWholeDisk(mounted, HMAC_KEY);
      for (const { files, judge } of groups) {
        placeFiles(mounted, files);
        for (const file of files) ours.set(file[0], ourJudgement(join(mounted, placeOf(file)), judge));
      }
      return fsuuidOf(mounted);
    });
    const policy = [`appraise fsuuid=${disk} fowner=${SIGNED_ONLY} appraise_type=imasig`, `appraise fsuuid=${disk}`];
    enforced = await guest.boot({
      commandLine: ['ima_appraise=enforce', ...APPRAISE],
      files: {
        ...keys,
        policy: `${policy.join('\n')}\n`,
        ...trialList('contents', contents.map(placeOf)),
        ...trialList('metadata', [...metadata, ...signedOnly].map(placeOf)),
      },
      script: [
        loadCertificate('_ima', 'ima.der'),
        tryFiles('contents'),
        loadCertificate('_evm', 'evm.der'),
        ...loadHmacKey,
        turnEvmOn(3),
        shell(`cat ${IN}/policy >/sys/kernel/security/ima/policy`),
        tryFiles('metadata'),
        write('/srv/created', 'new\n'),
        shell('echo two >>/srv/kept'),
      ],
    });
  });
  after(async () => {
    await guest?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  for (const { trial, files } of groups) {
    for (const file of files) {
      const [name, says] = file;
      test(`${name}: ${says}`, () => {
        assert.equal(ours.get(name), says, 'our appraisal');
        assert.deepEqual(
          answersOf(enforced, trial).get(placeOf(file)),
          expectedAnswer(placeOf(file), says),
          'the kernel',
        );
      });
    }
  }

  test('what the kernel labelled while it enforced passes our appraisal', async () => {
    await guest.onDisk((mounted) => {
      for (const path of ['srv/created', 'srv/kept']) {
        assert.equal(
          ourJudgement(join(mounted, path), { type: 'hash', keyring, evm: { hmacKey: HMAC_KEY } }),
          'pass',
          path,
        );
      }
      const converted = getXattr(join(mounted, 'srv/metadata-signed'), EVM_XATTR);
      assert.equal(
        parseEvmXattr(converted ?? Buffer.alloc(0)).kind,
        'hmac',
        'a signature becomes an HMAC once it stood',
      );
      assert.equal(ourJudgement(join(mounted, 'srv/metadata-signed'), { type: 'hash', keyring, evm: evmOn }), 'pass');
    });
  });

  test('what the kernel repaired under ima_appraise=fix passes our appraisal', async () => {
    const repaired = [
      'unlabelled',
      'hash-changed',
      'hash-cut',
      'unknown-type',
      'no-hmac',
      'hmac-then-mode',
      'evm-unknown-type',
    ];
    await guest.boot({
      commandLine: ['ima_appraise=fix', 'evm=fix', ...APPRAISE],
      files: keys,
      script: [...loadHmacKey, turnEvmOn(1), run('cat', ...repaired.map((name) => `/srv/${name}`))],
    });
    await guest.onDisk((mounted) => {
      for (const name of repaired) {
        const file = join(mounted, 'srv', name);
        assert.equal(parseImaXattr(getXattr(file, IMA_XATTR) ?? Buffer.alloc(0)).kind, 'digest', name);
        assert.equal(ourJudgement(file, { type: 'hash', keyring, evm: { hmacKey: HMAC_KEY } }), 'pass', name);
      }
    });
  });
});

function fsuuidOf(mounted: string): string {
  const { uuid } = fileSystem(mounted);
  return toHex(uuid ?? Buffer.alloc(16)).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
