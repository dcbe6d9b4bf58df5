/** What is wrong with one rule, whatever stands around it. */
import { magicOf, masksOf, rangeOf } from './compare.ts';
import { conditionsOf } from './condition.ts';
import { fileSystemOfName, fileSystemsOfMagic } from './file-systems.ts';
import { type PolicyFinding, type Say, sayer } from './finding.ts';
import { IGNORES_APPRAISE_FLAG, isBefore, type KernelVersion } from './kernel.ts';
import type { RuleLine } from './parse.ts';
import type { PolicyOption, PolicyRule } from './rule.ts';

export function lintRule(line: RuleLine, kernel: KernelVersion): PolicyFinding[] {
  const say = sayer(line);
  const { rule } = line.placed;
  return [
    ...impossible(rule, say),
    ...ignored(line, say, kernel),
    ...withoutLabels(rule, say),
    ...configuration(rule, say),
    ...pcrOf(rule, say),
    ...verityTemplate(rule, say),
    ...wide(rule, say),
  ];
}

const RIGHT_MASK = 'leave mask= out, or say what the function asks with';

function impossible(rule: PolicyRule, say: Say): PolicyFinding[] {
  const never = (why: string, advice: string, option: PolicyOption): PolicyFinding =>
    say('never-matches', 'warning', `the rule never matches: ${why}`, advice, option);
  const found: PolicyFinding[] = [];
  if (rule.mask !== undefined && masksOf(rule).length === 0) {
    const where = rule.func === undefined ? 'no file is opened' : `func=${rule.func} never asks`;
    found.push(
      never(`${where} with ${rule.mask.access} ${rule.mask.isAmong ? 'among it' : 'alone'}`, RIGHT_MASK, 'mask'),
    );
  }
  if (rule.fsmagic !== undefined && (rule.fsmagic === 0n || rule.fsmagic > 0xffff_ffffn)) {
    found.push(never('no file system has this magic number', 'stat -f -c %t FILE prints it', 'fsmagic'));
  }
  const named = rule.fsname === undefined ? undefined : fileSystemOfName(rule.fsname);
  if (named !== undefined && rule.fsmagic !== undefined && BigInt(named.magic) !== rule.fsmagic) {
    const magic = `0x${named.magic.toString(16)}`;
    found.push(never(`${named.name} has fsmagic=${magic}`, 'say one of the two', 'fsname'));
  }
  if (named !== undefined && rule.fsSubtype !== undefined && !named.name.startsWith('fuse')) {
    found.push(never(`${named.name} has no subtype`, 'FUSE file systems have one: fsname=fuse', 'fs_subtype'));
  }
  return [...found, ...emptyRanges(rule, never)];
}

function emptyRanges(
  { user, group, fowner, fgroup }: PolicyRule,
  never: (why: string, advice: string, option: PolicyOption) => PolicyFinding,
): PolicyFinding[] {
  const named = [
    [user?.isEffective === true ? 'euid' : 'uid', user],
    [group?.isEffective === true ? 'egid' : 'gid', group],
    ['fowner', fowner],
    ['fgroup', fgroup],
  ] as const;
  return named.flatMap(([option, condition]) => {
    if (condition === undefined) return [];
    const [from, to] = rangeOf(condition);
    if (from <= to) return [];
    return [never(`there is no id ${condition.operator} ${condition.id}`, 'ids go from 0 to 4294967294', option)];
  });
}

function ignored({ placed: { rule }, forgotten }: RuleLine, say: Say, kernel: KernelVersion): PolicyFinding[] {
  const found = forgotten.map((option) =>
    say('ignored', 'warning', `${option}= is said twice, and the last word counts`, 'say it once', option),
  );
  const isOwn = rule.func === 'KEY_CHECK' || rule.func === 'CRITICAL_DATA';
  if (isOwn && rule.group !== undefined) {
    const message = `gid= is not looked at with func=${rule.func} (ima_match_rule_data)`;
    found.push(say('ignored', 'warning', message, 'leave it out', 'gid'));
  }
  if (rule.func === 'SETXATTR_CHECK' && rule.labels !== undefined) {
    const message = 'labels of the security module are not looked at with func=SETXATTR_CHECK';
    found.push(say('ignored', 'warning', message, 'leave them out'));
  }
  if (rule.appraiseFlag !== undefined && !isBefore(kernel, IGNORES_APPRAISE_FLAG)) {
    const message = 'appraise_flag= is not looked at: the blacklist is asked wherever a signature is wanted';
    found.push(say('ignored', 'note', message, 'leave it out', 'appraise_flag'));
  }
  return found;
}

function withoutLabels(rule: PolicyRule, say: Say): PolicyFinding[] {
  const magic = magicOf(rule);
  if (rule.action !== 'appraise' || magic === undefined) return [];
  const known = rule.fsname === undefined ? fileSystemsOfMagic(magic)[0] : fileSystemOfName(rule.fsname);
  const option = rule.fsname === undefined ? 'fsmagic' : 'fsname';
  if (known === undefined || known.kind === 'labels') return [];
  if (known.kind === 'memory') {
    const message = `labels on ${known.name} are gone at the next boot`;
    return [say('no-labels', 'note', message, 'whatever writes the files has to label them', option)];
  }
  const message = `nothing can be labelled on ${known.name}: whatever the rule matches is denied`;
  return [say('no-labels', 'warning', message, `write dont_appraise instead`, option)];
}

/** Not in every kernel's configuration (crypto/Kconfig); the others come with IMA, EVM and module signatures. */
const USUAL_ALGOS: ReadonlySet<string> = new Set(['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512']);

function configuration(rule: PolicyRule, say: Say): PolicyFinding[] {
  const needs = (what: string, option?: PolicyOption): PolicyFinding =>
    say('needs-configuration', 'note', `the kernel takes this only with ${what}`, 'look at its configuration', option);
  const found: PolicyFinding[] = [];
  if (rule.func === 'KEY_CHECK') found.push(needs('CONFIG_IMA_MEASURE_ASYMMETRIC_KEYS', 'func'));
  if (rule.appraiseType === 'imasig|modsig') found.push(needs('CONFIG_IMA_APPRAISE_MODSIG', 'appraise_type'));
  if (rule.labels !== undefined) {
    found.push(needs('CONFIG_IMA_LSM_RULES, and as its first policy only where the security module knows the label'));
  }
  const unusual = rule.appraiseAlgos?.filter((name) => !USUAL_ALGOS.has(name)) ?? [];
  if (unusual.length > 0) found.push(needs(`${unusual.join(', ')} built in or loaded`, 'appraise_algos'));
  return found;
}

/** TCG PC Client Platform Firmware Profile 3.3.4; uapi-group.org's registry of PCRs. */
function othersOf(pcr: number): string {
  if (pcr > 23) return 'no TPM has it, so that nothing is extended';
  if (pcr <= 9) return 'firmware and boot loader extend it';
  if (pcr <= 15) return pcr === 14 ? 'shim extends it' : 'systemd extends it, where it has a TPM to boot with';
  return pcr >= 17 && pcr <= 22 ? 'it is of dynamic launches' : 'anybody may reset it';
}

function pcrOf({ pcr }: PolicyRule, say: Say): PolicyFinding[] {
  if (pcr === undefined || pcr === 10) return [];
  const message = `PCR ${pcr}: ${othersOf(pcr)}`;
  return [say('pcr', pcr > 23 ? 'warning' : 'note', message, 'PCR 10 is IMA’s own', 'pcr')];
}

function verityTemplate(rule: PolicyRule, say: Say): PolicyFinding[] {
  const tells = rule.template === 'ima-ngv2' || rule.template === 'ima-sigv2';
  if (rule.action !== 'measure' || rule.digestType === undefined || tells) return [];
  const message = 'the list will not say which digests are fs-verity’s';
  return [say('verity-template', 'note', message, 'add template=ima-ngv2 or template=ima-sigv2', 'digest_type')];
}

function wide(rule: PolicyRule, say: Say): PolicyFinding[] {
  const found: PolicyFinding[] = [];
  if (rule.action === 'measure' && rule.func === undefined && conditionsOf(rule).length === 0) {
    const message = 'every open of a file is measured, also for writing: the list grows without end';
    found.push(say('measures-everything', 'warning', message, 'say func=, and for FILE_CHECK mask= and uid='));
  }
  if (rule.action === 'appraise' && rule.func === 'POLICY_CHECK') {
    const message = 'once loaded, every further policy has to be a signed file, given by its path';
    found.push(say('policy-signed', 'note', message, 'keep the key with which it is signed', 'func'));
  }
  return found;
}
