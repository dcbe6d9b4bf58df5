/**
 * Runs in the guest: of each access, what our reading of the policy says that the kernel does at each hook.
 * Usage: POLICY ACCESSES ANSWER, the latter two JSON files of `GuestAccess` and of {@link ExplainedAccess}.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { LiveFiles } from '../../../src/cli/live-file.ts';
import {
  compilePolicy,
  type Explanation,
  explainAccess,
  FILE_USES,
  hooksOf,
  parsePolicy,
} from '../../../src/ima/policy/index.ts';
import type { GuestAccess } from '../policy-accesses.ts';

export interface ExplainedAccess extends GuestAccess {
  /** The rules by which it is measured, by their lines; none: it is not. */
  readonly lines: readonly number[];
  /** Of each hook: the `dont_` rule that keeps it out of the list, or that no rule matches. */
  readonly because: readonly string[];
}

const [, , policyFile = '', accessesFile = '', answer = ''] = process.argv;
const policy = compilePolicy(parsePolicy(readFileSync(policyFile)));
const accesses: readonly GuestAccess[] = JSON.parse(readFileSync(accessesFile, 'utf8'));
const files = new LiveFiles();

const explained = accesses.map((access): ExplainedAccess => {
  const { path, use, uid } = access;
  const facts = files.facts(path);
  if (facts === undefined) throw new Error(`${path} is no regular file`);
  const { kind, ...inode } = facts;
  const hooks = FILE_USES.filter(({ name }) => name === use).flatMap((found) => hooksOf(found, kind));
  const asked = hooks.map((hook) => explainAccess(policy, { ...inode, ...hook, uid, euid: uid, gid: uid, egid: uid }));
  const measuring = asked.filter(({ decision }) => decision.measure);
  return {
    ...access,
    lines: [...new Set(measuring.map((one) => one.decision.rules.measure?.line ?? 0))],
    because: asked.filter(({ decision }) => !decision.measure).map(reasonOf),
  };
});
writeFileSync(answer, JSON.stringify(explained));

function reasonOf({ decision, uncertain }: Explanation): string {
  if (uncertain.length > 0) return 'not known';
  const rule = decision.rules.measure;
  return rule === undefined ? 'no rule matches' : `line ${rule.line}`;
}
