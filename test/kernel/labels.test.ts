/**
 * The judge kernel (Linux 6.12 with every integrity feature on) judges what Debian's kernel cannot: ECDSA, fs-verity
 * signatures, appended signatures, SHA-384; and the labels of `guest-labels` once more, by ECDSA keys.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fromHex } from '../../src/bytes/index.ts';
import { type Signer, signFileId } from '../../src/digsig/index.ts';
import { appraiseEvm, readEvmMetadata } from '../../src/evm/index.ts';
import { encodeImaDigest, encodeImaSignature } from '../../src/ima/index.ts';
import { EVM_FILES, HMAC_KEY, loadCertificates, loadHmacKey, loadPolicy, turnEvmOn } from '../guest/appraisal-steps.ts';
import { answersOf, expectedAnswer, trialList, tryFiles } from '../guest/file-trials.ts';
import { type Boot, type Guest, makeGuest } from '../guest/guest.ts';
import {
  commandContentFiles,
  commandMetadataFiles,
  contentFiles,
  metadataFiles,
  type Signers,
  sha512ContentFiles,
  sha512MetadataFiles,
  signedBy,
  signedOnlyFiles,
} from '../guest/label-cases.ts';
import {
  appendSignature,
  byCommand,
  changeContent,
  digestOf,
  fileSystemUuid,
  giveTo,
  type Judge,
  type LabelledFile,
  labelWholeDisk,
  ourJudgement,
  type Preparation,
  placeFiles,
  placeOf,
  setHash,
  setHmac,
  setIma,
  sign,
  signMetadata,
} from '../guest/labelled-files.ts';
import { run, write } from '../guest/script.ts';
import { keyringOf, makeSigningKey } from '../guest/signing-key.ts';
import { nodeTree, programTree, projectTree } from '../guest/tree.ts';
import { requires, requiresMounts, requiresPath } from '../system/requirements.ts';

const machine = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const programs = requires('openssl', 'keyctl', 'fsverity');
const kernel = requiresPath('ASSAY_JUDGE_KERNEL', 'judge kernel');
const skip = machine.skip || programs.skip || kernel.skip || requiresMounts().skip;

/** Owners by which the policy tells files apart. */
const SIGNED_ONLY = 1001;
const VERITY_ONLY = 1002;
const APPENDED = 1003;

/** A directory that the guest labels, with the kernel's EVM over the label. */
const COVERED = '/srv/covered';
const DIRECTORY_XATTR = 'security.assay.dir';

const ec = (curve: string): string[] => ['ec', '-pkeyopt', `ec_paramgen_curve:${curve}`];

/** What fs-verity gives with its defaults: SHA-256 over blocks of 4096 bytes. */
const verityDigest = (file: string): { algorithm: 'sha256'; digest: Buffer } => {
  const digest = execFileSync('fsverity', ['digest', '--compact', file], { encoding: 'utf8' });
  return { algorithm: 'sha256', digest: fromHex(digest.trim()) };
};

/** Format 3 in an attribute of type 06. */
const signVerity = (signer: Signer): Preparation =>
  setIma((file) => encodeImaSignature(signFileId(signer, 6, 'sha256', verityDigest(file).digest), { verity: true }));

describe('labels before the judge kernel', { skip, timeout: 900_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-labels-'));
  const ima = makeSigningKey(folder, 'ima', ec('P-256'));
  const p384 = makeSigningKey(folder, 'p384', ec('P-384'));
  const p521 = makeSigningKey(folder, 'p521', ec('P-521'));
  const rsa = makeSigningKey(folder, 'rsa', ['rsa:4096']);
  const evm = makeSigningKey(folder, 'evm', ec('P-256'));
  const stranger = makeSigningKey(folder, 'stranger', ec('P-256'));
  // A size that crypto/rsa.c, rsa_check_key_length, refuses: self-signed, the keyring would not take it.
  const odd = makeSigningKey(folder, 'odd', ['rsa:2304'], { issuer: stranger });
  const unnamed = makeSigningKey(folder, 'unnamed', ec('P-256'), { skid: 'none' });
  const hmacKeyFile = join(folder, 'evm-key');
  writeFileSync(hmacKeyFile, HMAC_KEY);
  const labelKeys = { ima, evm, stranger, hmacKeyFile };
  const signers: Signers = { ima: ima.signer, evm: evm.signer, stranger: stranger.signer, hmacKey: HMAC_KEY };

  const contents: readonly LabelledFile[] = [
    ...contentFiles(signers),
    ...commandContentFiles(labelKeys),
    ...sha512ContentFiles(labelKeys),
    ['hash-sha384', 'pass', setIma((file) => encodeImaDigest('sha384', digestOf(file, 'sha384')))],
    ['hash-sha3-256', 'pass', setIma((file) => encodeImaDigest('sha3-256', digestOf(file, 'sha3-256')))],
    ['p256-sha512', 'pass', sign(ima.signer, 'sha512')],
    ['p384', 'pass', sign(p384.signer)],
    ['p384-sha384', 'pass', sign(p384.signer, 'sha384')],
    ['p384-changed', 'appraise_data invalid-signature', sign(p384.signer, 'sha384'), changeContent],
    ['p521-sha512', 'pass', sign(p521.signer, 'sha512')],
    ['rsa4096-sha512', 'pass', sign(rsa.signer, 'sha512')],
    ['rsa4096-md5', 'pass', sign(rsa.signer, 'md5')],
    ['rsa4096-sha1', 'pass', sign(rsa.signer, 'sha1')],
    ['rsa4096-sha224', 'pass', sign(rsa.signer, 'sha224')],
    ['rsa4096-sha3-512', 'pass', sign(rsa.signer, 'sha3-512')],
    ['p256-sha1', 'pass', sign(ima.signer, 'sha1')],
    ['p256-sha224', 'pass', sign(ima.signer, 'sha224')],
    ['p256-sha3-256', 'pass', sign(ima.signer, 'sha3-256')],
    ['hash-sm3', 'pass', setIma((file) => encodeImaDigest('sm3', digestOf(file, 'sm3')))],
    ['hash-md5', 'pass', setIma((file) => encodeImaDigest('md5', digestOf(file, 'md5'), { legacy: true }))],
    // Right, and yet nothing that the kernel verifies.
    ['rsa4096-sm3', 'appraise_data invalid-signature', sign(rsa.signer, 'sm3')],
    ['p256-md5', 'appraise_data invalid-signature', sign(ima.signer, 'md5')],
    ['p256-sm3', 'appraise_data invalid-signature', sign(ima.signer, 'sm3')],
    ['rsa2304', 'appraise_data invalid-signature', sign(odd.signer)],
    ['by-certificate-without-skid', 'appraise_data invalid-signature', sign(unnamed.signer)],
  ];
  const giveToVerity = giveTo(VERITY_ONLY);
  const verity: readonly LabelledFile[] = [
    ['verity', 'pass', giveToVerity, signVerity(ima.signer)],
    ['verity-p384', 'pass', giveToVerity, signVerity(p384.signer)],
    ['label-verity', 'pass', giveToVerity, byCommand('--verity', ...signedBy(ima))],
    [
      'label-verity-then-content',
      'appraise_data invalid-verity-signature',
      giveToVerity,
      byCommand('--verity', ...signedBy(ima)),
      changeContent,
    ],
    [
      'verity-then-content',
      'appraise_data invalid-verity-signature',
      giveToVerity,
      signVerity(ima.signer),
      changeContent,
    ],
    ['verity-by-stranger', 'appraise_data invalid-verity-signature', giveToVerity, signVerity(stranger.signer)],
    ['verity-hash', 'appraise_data verity-signature-required', giveToVerity, setHash],
    ['verity-signed-v2', 'appraise_data verity-signature-required', giveToVerity, sign(ima.signer)],
    ['verity-unlabelled', 'appraise_data verity-signature-required', giveToVerity],
  ];
  const withoutVerity: readonly LabelledFile[] = [
    ['no-verity', 'collect_data no-verity-digest', giveToVerity, signVerity(ima.signer)],
  ];
  const metadata: readonly LabelledFile[] = [
    ...metadataFiles(signers),
    ...commandMetadataFiles(labelKeys),
    ...sha512MetadataFiles(labelKeys),
    [
      'portable-by-rsa2304',
      'appraise_data invalid-fail-immutable',
      setHash,
      signMetadata(odd.signer, { portable: true }),
    ],
  ];
  const signedOnly: readonly LabelledFile[] = [
    ...signedOnlyFiles(signers, SIGNED_ONLY),
    [
      'must-verity',
      'appraise_data IMA-signature-required',
      giveTo(SIGNED_ONLY),
      signVerity(ima.signer),
      setHmac(HMAC_KEY),
    ],
  ];

  const giveToAppended = giveTo(APPENDED);
  /** The content of a file that was signed as another. */
  const replaceStart: Preparation = (file) => {
    const bytes = readFileSync(file);
    bytes.write('#!/bin/no');
    writeFileSync(file, bytes);
  };
  const appended: readonly LabelledFile[] = [
    ['modsig', 'pass', giveToAppended, appendSignature(ima.signer)],
    ['modsig-rsa', 'pass', giveToAppended, appendSignature(rsa.signer)],
    ['modsig-changed', 'appraise_data invalid-signature', giveToAppended, appendSignature(ima.signer), replaceStart],
    ['modsig-by-stranger', 'appraise_data invalid-signature', giveToAppended, appendSignature(stranger.signer)],
    ['modsig-and-hash', 'pass', giveToAppended, appendSignature(ima.signer), setHash],
    ['modsig-and-unknown-key', 'pass', giveToAppended, appendSignature(ima.signer), sign(stranger.signer)],
    ['modsig-by-stranger-and-signed', 'pass', giveToAppended, appendSignature(stranger.signer), sign(ima.signer)],
    ['modsig-rsa2304', 'appraise_data invalid-signature', giveToAppended, appendSignature(odd.signer)],
    ['modsig-by-certificate-without-skid', 'pass', giveToAppended, appendSignature(unnamed.signer)],
    ['modsig-none', 'appraise_data IMA-signature-required', giveToAppended],
  ];

  const keyring = keyringOf(ima, p384, p521, rsa, odd, unnamed);
  const evmOn = { hmacKey: HMAC_KEY, keyring: keyringOf(evm, odd) };
  const groups: readonly { trial: string; files: readonly LabelledFile[]; judge: Judge }[] = [
    { trial: 'contents', files: contents, judge: { type: 'hash', keyring } },
    { trial: 'contents', files: verity, judge: { type: 'sigv3', keyring, verityDigest } },
    { trial: 'contents', files: withoutVerity, judge: { type: 'sigv3', keyring } },
    { trial: 'appended', files: appended, judge: { type: 'imasig|modsig', keyring } },
    { trial: 'metadata', files: metadata, judge: { type: 'hash', keyring, evm: evmOn } },
    { trial: 'metadata', files: signedOnly, judge: { type: 'imasig', keyring, evm: evmOn } },
  ];

  let guest: Guest;
  let enforced: Boot;
  const ours = new Map<string, string>();

  before(async () => {
    const tools = {
      ...programTree('/usr/bin/keyctl'),
      ...programTree('/usr/bin/fsverity'),
      ...programTree('/usr/bin/setfattr'),
    };
    const tree = { ...nodeTree(), ...projectTree(), ...tools, '/srv': { folder: true } } as const;
    guest = await makeGuest({
      kernel: 'judge',
      tree,
      banks: ['sha256'],
      diskMegabytes: 400,
      diskFeatures: ['verity'],
    });
    const disk = await guest.onDisk(async (mounted) => {
      await labelWholeDisk(mounted, HMAC_KEY);
      for (const { files, judge } of groups) {
        placeFiles(mounted, files);
        for (const file of files) ours.set(file[0], await ourJudgement(join(mounted, placeOf(file)), judge));
      }
      return fileSystemUuid(mounted);
    });
    const policy = [
      `appraise func=KEXEC_KERNEL_CHECK fsuuid=${disk} fowner=${APPENDED} appraise_type=imasig|modsig`,
      `dont_appraise fsuuid=${disk} fowner=${APPENDED}`,
      `appraise fsuuid=${disk} fowner=${VERITY_ONLY} digest_type=verity appraise_type=sigv3`,
      `appraise fsuuid=${disk} fowner=${SIGNED_ONLY} appraise_type=imasig`,
      `appraise fsuuid=${disk}`,
    ];
    enforced = await guest.boot({
      // Not appraise_tcb: where rules can be added, it wants the file that adds them signed.
      commandLine: ['ima_appraise=enforce', 'ima_hash=sha256'],
      files: {
        ...EVM_FILES,
        'ima.der': ima.certificate,
        'p384.der': p384.certificate,
        'p521.der': p521.certificate,
        'rsa.der': rsa.certificate,
        'odd.der': odd.certificate,
        'unnamed.der': unnamed.certificate,
        'evm.der': evm.certificate,
        policy: `${policy.join('\n')}\n`,
        ...trialList('contents', [...contents, ...verity, ...withoutVerity].map(placeOf)),
        ...trialList('appended', appended.map(placeOf)),
        ...trialList('metadata', [...metadata, ...signedOnly].map(placeOf)),
      },
      script: [
        loadCertificates('_ima', 'ima.der', 'p384.der', 'p521.der', 'rsa.der', 'odd.der', 'unnamed.der'),
        ...verity.map((file) => run('fsverity', 'enable', placeOf(file))),
        loadPolicy('policy'),
        tryFiles('contents'),
        tryFiles('appended', 'load'),
        loadCertificates('_evm', 'evm.der', 'odd.der'),
        ...loadHmacKey,
        write('/sys/kernel/security/integrity/evm/evm_xattrs', DIRECTORY_XATTR),
        turnEvmOn(3),
        tryFiles('metadata'),
        run('mkdir', COVERED),
        run('setfattr', '-n', DIRECTORY_XATTR, '-v', '0x01020304', COVERED),
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
      test(`${name}: ${says}`, (t) => {
        assert.equal(ours.get(name), says, 'our appraisal');
        const answer = answersOf(enforced, trial).get(placeOf(file));
        if (answer?.outcome === 'ENOSYS') return t.skip('this kernel has no CONFIG_KEXEC_FILE');
        assert.deepEqual(answer, expectedAnswer(placeOf(file), says), 'the kernel');
      });
    }
  }

  test('the kernel’s EVM covers a directory’s label as ours does, once evm_xattrs names it', async () => {
    const judged = (extraXattrs: readonly string[]) =>
      guest.onDisk((mounted) => {
        const { metadata, label: xattr } = readEvmMetadata(join(mounted, COVERED), { extraXattrs });
        return appraiseEvm({ xattr, metadata, extraXattrs, hmacKey: HMAC_KEY }).status;
      });
    assert.equal(await judged([DIRECTORY_XATTR]), 'pass');
    assert.equal(await judged([]), 'no_xattrs');
  });
});
