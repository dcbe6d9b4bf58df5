/** The sentence on a measured file that is not simply approved. */
import { unmeasuredReason } from '../evidence/index.ts';
import type { FileJudgement, MeasuredFile } from '../reference/index.ts';
import { finding } from './sentence.ts';
import type { Finding } from './types.ts';

const PENDING = {
  unpackaged: 'file.unpackaged',
  modified: 'file.package-modified',
  'no-checksum': 'file.no-checksum',
  replaced: 'process.deleted-file',
} as const;

/** Undefined where the judgement leaves nothing to say. */
export function fileFinding(
  { path, digest }: MeasuredFile,
  judgement: FileJudgement,
  position: NonNullable<Finding['position']>,
): Finding | undefined {
  const found = { position, found: digest };
  switch (judgement.kind) {
    case 'approved':
      if (!judgement.weak) return undefined;
      return finding('file.weak-digest', path, `${path} is approved only by ${digest.split(':', 1)[0]}`, found);
    case 'denied':
      return finding('file.denied', path, `${path} is forbidden here: ${judgement.rule.reason}`, found);
    case 'pending': {
      const { reason } = judgement.file;
      const expected = judgement.expected.length > 0 ? { expected: judgement.expected.join(' or ') } : {};
      return finding(PENDING[reason], path, pendingText(path, reason, judgement.file.origin), {
        ...found,
        ...expected,
      });
    }
    case 'changed': {
      const unmeasured = unmeasuredFinding(path, found);
      if (unmeasured !== undefined) return unmeasured;
      const from = judgement.origin === undefined ? '' : ` (from ${judgement.origin})`;
      const what = `${path} has other content than the reference allows${from}`;
      return finding('file.changed', path, what, { ...found, expected: judgement.expected.join(' or ') });
    }
    case 'unknown': {
      const unmeasured = unmeasuredFinding(path, found);
      if (unmeasured !== undefined) return unmeasured;
      const same =
        judgement.contentOf === undefined ? '' : `; its content is that of ${judgement.contentOf}, approved only there`;
      return finding('file.unknown', path, `${path} is not in the reference${same}`, found);
    }
  }
}

/** An entry that the agent wrote because it could measure nothing: as bad as an unknown file, and said as what it is. */
function unmeasuredFinding(path: string, found: Pick<Finding, 'position' | 'found'>): Finding | undefined {
  switch (unmeasuredReason(path, found.found ?? '')) {
    case 'gap':
      return finding('ima.gap', path, `For a while executions went unseen (${path.slice('gap:'.length)})`, found);
    case 'unreadable':
      return finding('file.unreadable', path, `${path} is in use, and the agent could not read it`, found);
    default:
      return undefined;
  }
}

function pendingText(path: string, reason: keyof typeof PENDING, origin: string | undefined): string {
  const owner = origin ?? 'its package';
  switch (reason) {
    case 'unpackaged':
      return `${path} belongs to no package and waits for approval`;
    case 'modified':
      return `${path} is not as ${owner} shipped it`;
    case 'no-checksum':
      return `${path} belongs to ${owner}, which carries no checksum for it`;
    case 'replaced':
      return `${path} is still running with content that was deleted or replaced on disk`;
  }
}
