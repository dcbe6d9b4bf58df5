/**
 * IMA policies before Debian's unmodified kernel: what we say of each access, read off the policy and the file alone, is what
 * the kernel puts into its list. Each rule that measures has a PCR of its own, so that the list says which one it was.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMeasurementList } from '../../src/ima/index.ts';
import {
  compilePolicy,
  decideAccess,
  FILE_USES,
  type FileFacts,
  hooksOf,
  parsePolicy,
} from '../../src/ima/policy/index.ts';
import { makeGuest } from '../guest/guest.ts';
import { keepList } from '../guest/lists.ts';
import {
  accessesOf,
  accessTree,
  doAccesses,
  type GuestAccess,
  linesOfPaths,
  ownersOf,
  prepareAccesses,
  taggedPolicy,
} from '../guest/policy-accesses.ts';
import { IN, shell } from '../guest/script.ts';
import { requires, requiresPath } from './requirements.ts';

const programs = requires('swtpm', 'swtpm_setup', 'qemu-system-x86_64', 'mkfs.ext4', 'cpio', 'busybox');
const kernel = requiresPath('ASSAY_GUEST_KERNEL', 'Debian package linux-image-cloud-amd64');

/** overlayfs is a module of this kernel, and a second policy it does not take (CONFIG_IMA_WRITE_POLICY). */
const accesses = accessesOf({ overlay: false, secondPolicy: false });

const FILE_SYSTEMS = [
  { below: '/proc/', fsMagic: 0x9fa0, fsName: 'proc' },
  { below: '/tmp/', fsMagic: 0x01021994, fsName: 'tmpfs' },
  { below: '/', fsMagic: 0xef53, fsName: 'ext4' },
] as const;

function factsOf({ path, use }: GuestAccess): FileFacts {
  const { below: _, ...fileSystem } = FILE_SYSTEMS.find(({ below }) => path.startsWith(below)) ?? FILE_SYSTEMS[2];
  const kind = use !== 'run' ? 'other' : path.startsWith('/srv/elf/') ? 'program' : 'script';
  return { ...fileSystem, ...ownersOf(path), kind };
}

const skip = programs.skip || kernel.skip;
test("Debian's kernel measures each access by the rule that we name, or not at all", {
  skip,
  timeout: 300_000,
}, async () => {
  const { text, lineOfPcr } = taggedPolicy();
  const policy = compilePolicy(parsePolicy(Buffer.from(text)));
  await using guest = await makeGuest({ kernel: 'debian', tree: accessTree, banks: ['sha256'] });
  const boot = await guest.boot({
    commandLine: [],
    files: { policy: text },
    script: [
      ...prepareAccesses({ overlay: false }),
      shell(`cat ${IN}/policy >/sys/kernel/security/ima/policy`),
      doAccesses(accesses),
      keepList('list'),
    ],
  });
  const truth = linesOfPaths(parseMeasurementList(boot.file('list')), lineOfPcr);
  for (const access of accesses) {
    const { path, use, uid } = access;
    const { kind, ...inode } = factsOf(access);
    const hooks = FILE_USES.filter(({ name }) => name === use).flatMap((found) => hooksOf(found, kind));
    const lines = hooks.flatMap((hook) => {
      const { measure, rules } = decideAccess(policy, { ...inode, ...hook, uid, euid: uid, gid: uid, egid: uid });
      return measure ? [rules.measure?.line] : [];
    });
    assert.deepEqual({ path, lines: [...new Set(lines)].sort() }, { path, lines: [...(truth.get(path) ?? [])].sort() });
  }
});
