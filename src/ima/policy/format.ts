/** Rules as text: one form for each rule, in an order that every kernel takes, which reads back to the same rule. */
import { idText } from './condition.ts';
import type { PolicyLine } from './parse.ts';
import { type CredentialCondition, LABEL_CONDITIONS, type PolicyRule } from './rule.ts';

/**
 * One rule. `digest_type=` stands before `appraise_type=`: in the order in which the kernel itself prints the two
 * (ima_policy_show), 6.12 does not take them back.
 */
export function formatRule(rule: PolicyRule): string {
  const { mask, fsmagic, user, group, fowner, fgroup, labels } = rule;
  const words: (string | undefined)[] = [
    rule.action,
    valued('func', rule.func),
    valued('mask', mask && `${mask.isAmong ? '^' : ''}${mask.access}`),
    valued('fsmagic', fsmagic === undefined ? undefined : `0x${fsmagic.toString(16)}`),
    valued('fsname', rule.fsname),
    valued('fs_subtype', rule.fsSubtype),
    valued('fsuuid', rule.fsuuid),
    user && credentialText('uid', user),
    group && credentialText('gid', group),
    fowner && idText('fowner', fowner),
    fgroup && idText('fgroup', fgroup),
    ...LABEL_CONDITIONS.map((name) => valued(name, labels?.[name])),
    valued('digest_type', rule.digestType),
    valued('appraise_type', rule.appraiseType),
    valued('appraise_flag', rule.appraiseFlag),
    valued('appraise_algos', rule.appraiseAlgos?.join(',')),
    rule.permitDirectio && 'permit_directio',
    valued('pcr', rule.pcr?.toString()),
    valued('template', rule.template),
    valued('keyrings', rule.keyrings?.join('|')),
    valued('label', rule.label?.join('|')),
  ];
  return words.filter((word) => word !== undefined).join(' ');
}

const valued = (name: string, value: string | undefined): string | undefined =>
  value === undefined ? undefined : `${name}=${value}`;

const credentialText = (name: string, credential: CredentialCondition): string =>
  `${credential.isEffective ? 'e' : ''}${idText(name, credential)}`;

/** A whole policy: comments stay where they are, blank lines too, but one at a time and none at the ends. */
export function formatPolicy(lines: readonly PolicyLine[]): string {
  const texts: string[] = [];
  for (const line of lines) {
    if (line.kind !== 'blank') texts.push(lineText(line));
    else if (texts.length > 0 && texts.at(-1) !== '') texts.push('');
  }
  if (texts.at(-1) === '') texts.pop();
  return texts.map((text) => `${text}\n`).join('');
}

function lineText(line: Exclude<PolicyLine, { kind: 'blank' }>): string {
  if (line.kind === 'comment') return line.text;
  const rule = formatRule(line.placed.rule);
  return line.comment === undefined ? rule : `${rule} ${line.comment}`;
}
