import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatUuid, NO_UUID, type PolicyAccess } from './access.ts';
import { compilePolicy, type Decision, decideAccess } from './decide.ts';
import { parsePolicy } from './parse.ts';
import { FUNCS, type IdOperator, LABEL_CONDITIONS, MAY, type PlacedRule } from './rule.ts';

const EXT4 = 0xef53;
const TMPFS = 0x01021994;
const UUID = '8bcbe394-4f13-4144-be8e-5aa9ea2ce2f6';

const root: PolicyAccess = {
  func: 'BPRM_CHECK',
  mask: MAY.MAY_EXEC,
  uid: 0,
  euid: 0,
  gid: 0,
  egid: 0,
  owner: 0,
  group: 0,
  fsMagic: EXT4,
  fsName: 'ext4',
  fsSubtype: '',
  fsUuid: UUID,
};

const rulesOf = (...lines: readonly string[]): PlacedRule[] => parsePolicy(Buffer.from(lines.join('\n')));

/** `measure 2, dont_appraise 1`: the actions that decided, and their lines. */
function told(lines: readonly string[], access: Partial<PolicyAccess> = {}): string {
  const { rules } = decideAccess(compilePolicy(rulesOf(...lines)), { ...root, ...access });
  return Object.values(rules)
    .map(({ rule, line }) => `${rule.action} ${line}`)
    .join(', ');
}

test('of each duty the first rule that matches decides', () => {
  const policy = [
    'dont_measure fsmagic=0x01021994',
    'measure func=BPRM_CHECK',
    'appraise fowner=0',
    'measure',
    'audit',
  ];
  assert.equal(told(policy), 'measure 2, appraise 3, audit 5');
  assert.equal(told(policy, { fsMagic: TMPFS }), 'dont_measure 1, appraise 3, audit 5');
  assert.equal(told(policy, { func: 'FILE_CHECK', owner: 5 }), 'measure 4, audit 5');
});

test('a duty that no rule asks for is not looked at', () => {
  assert.equal(told(['dont_measure', 'audit']), 'audit 2');
  assert.equal(told(['dont_appraise permit_directio', 'appraise func=SETXATTR_CHECK appraise_algos=sha256']), '');
  const { setxattrAlgos } = compilePolicy(rulesOf('appraise func=SETXATTR_CHECK appraise_algos=sha512,sha256'));
  assert.deepEqual(setxattrAlgos, ['sha256', 'sha512']);
  const off = compilePolicy(rulesOf('appraise', 'measure'), { appraiseOff: true });
  assert.deepEqual(Object.keys(decideAccess(off, root).rules), ['measure']);
});

test('a mask is all that is asked for, and with ^ among it', () => {
  const readWrite = { func: 'FILE_CHECK', mask: MAY.MAY_READ | MAY.MAY_WRITE } as const;
  assert.equal(told(['measure mask=MAY_READ'], readWrite), '');
  assert.equal(told(['measure mask=^MAY_READ'], readWrite), 'measure 1');
  assert.equal(told(['measure mask=^MAY_APPEND'], readWrite), '');
});

test('euid looks at the saved and the real uid of who has CAP_SETUID', () => {
  const rule = ['measure euid=0'];
  assert.equal(told(rule, { uid: 0, euid: 1000 }), '');
  assert.equal(told(rule, { uid: 0, euid: 1000, hasSetuid: true }), 'measure 1');
  assert.equal(told(['measure euid=1000'], { uid: 1000, euid: 0 }), 'measure 1');
  assert.equal(told(['measure euid=1000'], { uid: 1000, euid: 0, hasSetuid: false }), '');
  assert.equal(told(['measure euid=1000'], { uid: 0, euid: 0, suid: 1000 }), 'measure 1');
  assert.equal(told(['measure egid>99'], { gid: 100, egid: 0 }), 'measure 1');
  assert.equal(told(['measure egid>99'], { gid: 100, egid: 0, hasSetgid: false }), '');
});

test('keys and critical data are asked of rules of their own alone', () => {
  const key = { func: 'KEY_CHECK', mask: 0, data: '.ima' } as const;
  assert.equal(told(['measure', 'measure func=KEY_CHECK keyrings=_evm', 'measure func=KEY_CHECK'], key), 'measure 3');
  assert.equal(told(['measure func=KEY_CHECK keyrings=_evm|.ima uid=0 gid=77'], key), 'measure 1');
  assert.equal(told(['measure func=KEY_CHECK uid>0'], key), '');
  const data = { func: 'CRITICAL_DATA', mask: 0, data: 'selinux' } as const;
  assert.equal(told(['measure func=CRITICAL_DATA label=kernel_info', 'measure func=KEY_CHECK'], data), '');
  assert.equal(told(['measure func=CRITICAL_DATA label=selinux'], data), 'measure 1');
});

const decide = (lines: readonly string[], failSecurely = false): Decision =>
  decideAccess(compilePolicy(rulesOf(...lines), { failSecurely }), root);

test('how is said by the rules that matched', () => {
  const measured = decide(['measure pcr=11 template=ima-sigv2', 'measure pcr=12']);
  assert.deepEqual([measured.measure, measured.pcr, measured.template], [true, 11, 'ima-sigv2']);
  const signed = decide(['appraise appraise_type=imasig appraise_algos=sha256']);
  assert.deepEqual([signed.appraiseType, signed.appraiseAlgos], ['imasig', ['sha256']]);
  // Flags are those of all rules that matched, a measure rule's among them.
  const mixed = decide(['measure digest_type=verity', 'appraise appraise_type=imasig', 'audit permit_directio']);
  assert.deepEqual([mixed.appraiseType, mixed.verity, mixed.permitDirectio], ['sigv3', true, true]);
  assert.equal(decide(['measure', 'appraise'], true).failUnverifiable, true);
  assert.equal(decide(['measure'], true).failUnverifiable, false);
});

test('what is appraised is not hashed, unless the rule for the hash stands behind', () => {
  assert.equal(decide(['hash', 'appraise']).hash, false);
  assert.equal(decide(['appraise', 'hash']).hash, true);
  assert.equal(decide(['hash', 'dont_appraise', 'appraise']).hash, true);
});

test('what is not known is matched by no rule that asks for it', () => {
  assert.equal(told(['measure obj_type=bin_t', 'measure fsname=ext4'], { fsName: 'ext4' }), 'measure 2');
  assert.equal(told(['measure obj_type=bin_t'], { labels: { obj_type: 'bin_t' } }), 'measure 1');
});

test('a UUID is written as fsuuid= has it', () => {
  assert.equal(formatUuid(Buffer.from(UUID.replaceAll('-', ''), 'hex')), UUID);
  assert.equal(formatUuid(new Uint8Array(16)), NO_UUID);
});

// The kernel's ima_match_rules and ima_match_policy once more, in its own order and with nothing prepared.

const OPS: Record<IdOperator, (a: number, b: number) => boolean> = {
  '=': (a, b) => a === b,
  '<': (a, b) => a < b,
  '>': (a, b) => a > b,
};
type Known = Required<PolicyAccess>;

function ruleMatches({ rule }: PlacedRule, access: Known): boolean {
  if (rule.func !== undefined && rule.func !== access.func) return false;
  const uidHolds = rule.user === undefined || OPS[rule.user.operator](access.uid, rule.user.id);
  if (access.func === 'KEY_CHECK' || access.func === 'CRITICAL_DATA') {
    const list = access.func === 'KEY_CHECK' ? rule.keyrings : rule.label;
    return rule.func === access.func && uidHolds && (list === undefined || list.includes(access.data));
  }
  if (rule.mask !== undefined) {
    const bit = MAY[rule.mask.access];
    if (rule.mask.isAmong ? (access.mask & bit) === 0 : access.mask !== bit) return false;
  }
  if (rule.fsmagic !== undefined && rule.fsmagic !== BigInt(access.fsMagic)) return false;
  if (rule.fsname !== undefined && rule.fsname !== access.fsName) return false;
  if (rule.fsSubtype !== undefined && rule.fsSubtype !== access.fsSubtype) return false;
  if (rule.fsuuid !== undefined && rule.fsuuid !== access.fsUuid) return false;
  for (const [wanted, effective, saved, real, capable] of [
    [rule.user, access.euid, access.suid, access.uid, access.hasSetuid],
    [rule.group, access.egid, access.sgid, access.gid, access.hasSetgid],
  ] as const) {
    if (wanted === undefined) continue;
    const ids = !wanted.isEffective ? [real] : capable ? [effective, saved, real] : [effective];
    if (!ids.some((id) => OPS[wanted.operator](id, wanted.id))) return false;
  }
  if (rule.fowner !== undefined && !OPS[rule.fowner.operator](access.owner, rule.fowner.id)) return false;
  if (rule.fgroup !== undefined && !OPS[rule.fgroup.operator](access.group, rule.fgroup.id)) return false;
  return LABEL_CONDITIONS.every(
    (name) => rule.labels?.[name] === undefined || rule.labels[name] === access.labels[name],
  );
}

/** Bits of actions: each do, and beside it its dont. */
const BITS = { measure: 1, dont_measure: 2, appraise: 4, dont_appraise: 8 } as const;
const MORE_BITS = { audit: 0x40, dont_audit: 0x80, hash: 0x100, dont_hash: 0x200 } as const;
const ACTION_BITS = { ...BITS, ...MORE_BITS };
const DO_MASK = 0x145;

function reference(rules: readonly PlacedRule[], access: Known): Omit<Decision, 'rules' | 'failUnverifiable'> {
  let policyFlag = 0;
  for (const { rule } of rules) {
    if (rule.func !== 'SETXATTR_CHECK') policyFlag |= ACTION_BITS[rule.action] & DO_MASK;
  }
  let actmask = policyFlag | (policyFlag << 1);
  let action = 0;
  let [verity, permitDirectio, digsig, modsig, sigv3] = [false, false, false, false, false];
  let [pcr, template]: [number | undefined, string | undefined] = [undefined, undefined];
  let algos: readonly string[] | undefined;
  for (const placed of rules) {
    const { rule } = placed;
    const bit = ACTION_BITS[rule.action];
    if ((bit & actmask) === 0 || !ruleMatches(placed, access)) continue;
    verity ||= rule.digestType === 'verity';
    permitDirectio ||= rule.permitDirectio === true;
    digsig ||= rule.appraiseType !== undefined;
    modsig ||= rule.appraiseType === 'imasig|modsig';
    sigv3 ||= rule.appraiseType === 'sigv3';
    action |= bit & DO_MASK;
    if (rule.action === 'appraise') {
      action &= ~ACTION_BITS.hash;
      algos = rule.appraiseAlgos ?? algos;
    }
    actmask &= (bit & DO_MASK) !== 0 ? ~(bit | (bit << 1)) : ~(bit | (bit >> 1));
    pcr = rule.pcr ?? pcr;
    template = rule.template ?? template;
  }
  return {
    measure: (action & ACTION_BITS.measure) !== 0,
    appraise: (action & ACTION_BITS.appraise) !== 0,
    audit: (action & ACTION_BITS.audit) !== 0,
    hash: (action & ACTION_BITS.hash) !== 0,
    appraiseType: !digsig ? 'hash' : verity || sigv3 ? 'sigv3' : modsig ? 'imasig|modsig' : 'imasig',
    verity,
    permitDirectio,
    appraiseAlgos: algos,
    pcr,
    template,
  };
}

const id = fc.constantFrom(0, 1, 1000);
const idWord = (name: string) =>
  fc.tuple(fc.constantFrom('=', '<', '>'), id).map(([op, value]) => `${name}${op}${value}`);
const funcWord = fc.constantFrom(...FUNCS).map((func) => `func=${func}`);
const word = fc.oneof(
  funcWord,
  fc.constantFrom(
    'mask=MAY_READ',
    'mask=^MAY_READ',
    'mask=MAY_EXEC',
    'mask=^MAY_WRITE',
    'fsmagic=0xef53',
    'fsmagic=0x01021994',
    'fsname=ext4',
    'fs_subtype=sshfs',
    `fsuuid=${UUID}`,
    'obj_type=bin_t',
    'subj_user=_',
    'permit_directio',
    'digest_type=verity',
    'appraise_type=imasig',
    'appraise_type=imasig|modsig',
    'appraise_type=sigv3',
    'appraise_algos=sha256',
    'pcr=11',
    'template=ima-sig',
    'keyrings=.ima',
    'label=selinux',
  ),
  fc.constantFrom('uid', 'euid', 'gid', 'egid', 'fowner', 'fgroup').chain(idWord),
);
const action = fc.constantFrom(...Object.keys(ACTION_BITS));
const line = fc.tuple(action, fc.array(word, { maxLength: 3 })).map(([first, words]) => [first, ...words].join(' '));
const isTaken = (text: string): boolean => {
  try {
    return rulesOf(text).length === 1;
  } catch {
    return false;
  }
};
const policy = fc.array(line.filter(isTaken), { minLength: 1, maxLength: 10 }).map((lines) => rulesOf(...lines));
const access: fc.Arbitrary<Known> = fc.record({
  func: fc.constantFrom(...FUNCS.filter((func) => func !== 'SETXATTR_CHECK')),
  mask: fc.constantFrom(0, 1, 2, 4, 6, 10, 16),
  uid: id,
  euid: id,
  suid: id,
  gid: id,
  egid: id,
  sgid: id,
  hasSetuid: fc.boolean(),
  hasSetgid: fc.boolean(),
  owner: id,
  group: id,
  fsMagic: fc.constantFrom(EXT4, TMPFS),
  fsName: fc.constantFrom('ext4', 'tmpfs'),
  fsSubtype: fc.constantFrom('', 'sshfs'),
  fsUuid: fc.constantFrom(UUID, NO_UUID),
  labels: fc.constantFrom({ obj_type: 'bin_t', subj_user: '_' }, { obj_type: 'etc_t', subj_user: 'user' }),
  data: fc.constantFrom('.ima', 'selinux'),
});

test('decisions are those of the kernel’s own way through the rules', () => {
  fc.assert(
    fc.property(policy, access, (rules, asked) => {
      const { rules: deciding, failUnverifiable, ...decision } = decideAccess(compilePolicy(rules), asked);
      assert.deepEqual(decision, reference(rules, asked));
      assert.equal(failUnverifiable, false);
      for (const [duty, { rule }] of Object.entries(deciding)) assert.ok(rule.action.endsWith(duty));
    }),
    { numRuns: 5000 },
  );
});
