/**
 * The kernel judges our labels: a disk that we labelled boots under `ima_appraise=enforce`, files run or are denied as
 * our own appraisal says, by the same cause, and labels that the kernel wrote pass it.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { EVM_XATTR, parseEvmXattr } from '../../src/evm/index.ts';
import { IMA_XATTR, parseImaXattr } from '../../src/ima/index.ts';
import { getXattr } from '../../src/sys/index.ts';
import { EVM_FILES, HMAC_KEY, loadCertificates, loadHmacKey, loadPolicy, turnEvmOn } from '../guest/appraisal-steps.ts';
import { answersOf, expectedAnswer, trialList, tryFiles } from '../guest/file-trials.ts';
import { type Boot, type Guest, makeGuest } from '../guest/guest.ts';
import {
  commandContentFiles,
  commandMetadataFiles,
  contentFiles,
  metadataFiles,
  type Signers,
  signedOnlyFiles,
} from '../guest/label-cases.ts';
import {
  fileSystemUuid,
  type Judge,
  type LabelledFile,
  labelWholeDisk,
  ourJudgement,
  placeFiles,
  placeOf,
} from '../guest/labelled-files.ts';
import { run, shell, write } from '../guest/script.ts';
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

/** Files of this owner must be signed; see the policy. */
const SIGNED_ONLY = 1001;

describe("labels before Debian's kernel", { skip, timeout: 900_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-labels-'));
  const ima = makeSigningKey(folder, 'ima', ['rsa:2048']);
  const evm = makeSigningKey(folder, 'evm', ['rsa:2048']);
  const stranger = makeSigningKey(folder, 'stranger', ['rsa:2048']);
  const signers: Signers = { ima: ima.signer, evm: evm.signer, stranger: stranger.signer, hmacKey: HMAC_KEY };
  /** Judged by the built-in policy, EVM not on. */
  const hmacKeyFile = join(folder, 'evm-key');
  writeFileSync(hmacKeyFile, HMAC_KEY);
  const labelKeys = { ima, evm, stranger, hmacKeyFile };
  const contents = [...contentFiles(signers), ...commandContentFiles(labelKeys)];
  /** Judged by the policy that is loaded then, with EVM on. */
  const metadata = [...metadataFiles(signers), ...commandMetadataFiles(labelKeys)];
  /** As `metadata`, where the policy wants signatures. */
  const signedOnly = signedOnlyFiles(signers, SIGNED_ONLY);

  const keyring = keyringOf(ima);
  const evmOn = { hmacKey: HMAC_KEY, keyring: keyringOf(evm) };
  const groups: readonly { trial: string; files: readonly LabelledFile[]; judge: Judge }[] = [
    { trial: 'contents', files: contents, judge: { type: 'hash', keyring } },
    { trial: 'metadata', files: metadata, judge: { type: 'hash', keyring, evm: evmOn } },
    { trial: 'metadata', files: signedOnly, judge: { type: 'imasig', keyring, evm: evmOn } },
  ];
  const keys = { ...EVM_FILES, 'ima.der': ima.certificate, 'evm.der': evm.certificate };

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
        for (const file of files) ours.set(file[0], await ourJudgement(join(mounted, placeOf(file)), judge));
      }
      return fileSystemUuid(mounted);
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
        loadCertificates('_ima', 'ima.der'),
        tryFiles('contents'),
        loadCertificates('_evm', 'evm.der'),
        ...loadHmacKey,
        turnEvmOn(3),
        loadPolicy('policy'),
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
    await guest.onDisk(async (mounted) => {
      for (const path of ['srv/created', 'srv/kept']) {
        assert.equal(
          await ourJudgement(join(mounted, path), { type: 'hash', keyring, evm: { hmacKey: HMAC_KEY } }),
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
      assert.equal(
        await ourJudgement(join(mounted, 'srv/metadata-signed'), { type: 'hash', keyring, evm: evmOn }),
        'pass',
      );
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
    await guest.onDisk(async (mounted) => {
      for (const name of repaired) {
        const file = join(mounted, 'srv', name);
        assert.equal(parseImaXattr(getXattr(file, IMA_XATTR) ?? Buffer.alloc(0)).kind, 'digest', name);
        assert.equal(await ourJudgement(file, { type: 'hash', keyring, evm: { hmacKey: HMAC_KEY } }), 'pass', name);
      }
    });
  });
});
