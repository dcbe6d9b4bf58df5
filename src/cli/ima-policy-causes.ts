/** `assay ima policy explain --list`: the rule that caused each entry of a measurement list. */
import { join } from 'node:path';
import { ListReader, type MeasurementEntry } from '../ima/index.ts';
import {
  type Candidate,
  type CompiledPolicy,
  causeFinder,
  type EntryCause,
  FILE_USES,
  type FileFacts,
  formatRule,
  listFactsOf,
  UNKNOWN_FILE,
} from '../ima/policy/index.ts';
import { placeOf, ruleJson } from './ima-policy-place.ts';
import { inFile } from './in-file.ts';
import { LiveFiles } from './live-file.ts';
import { chunksOf, withInput } from './read-input.ts';
import { escapeControls, printJson, printLine } from './terminal.ts';
import { parseUser } from './user-name.ts';

export interface CausesOptions {
  readonly root?: string;
  readonly user?: string;
  readonly json?: boolean;
}

export function explainList(policy: CompiledPolicy, list: string, options: CausesOptions): void {
  const reader = new ListReader();
  const files = new LiveFiles();
  const root = options.root ?? '/';
  const users = options.user === undefined ? {} : { users: [parseUser(options.user).uid] };
  let find: ReturnType<typeof causeFinder> | undefined;
  let unexplained = 0;
  const tell = (entries: readonly MeasurementEntry[]): void => {
    for (const entry of entries) {
      find ??= causeFinder(policy, { ...listFactsOf(entry), ...users });
      const cause = find(entry, factsOf(files, root, entry));
      if (cause.kind === 'none') unexplained += 1;
      if (options.json === true) printJson(entryJson(entry, cause));
      else printLine(escapeControls(entryLine(entry, cause)));
    }
  };
  inFile(list, () => {
    withInput(list, (fd) => {
      for (const chunk of chunksOf(fd)) tell(reader.push(chunk));
    });
    tell(reader.end());
  });
  if (unexplained > 0) process.exitCode = 1;
}

/** Of a file that is gone, or may not be looked at, nothing is known. Names that are no paths are not looked for. */
function factsOf(files: LiveFiles, root: string, { fields }: MeasurementEntry): FileFacts {
  const path = fields?.path;
  if (path?.startsWith('/') !== true || path.includes('\0')) return UNKNOWN_FILE;
  try {
    return files.facts(root === '/' ? path : join(root, path)) ?? UNKNOWN_FILE;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return UNKNOWN_FILE;
    throw error;
  }
}

function entryLine({ index, pcr, fields, violation }: MeasurementEntry, cause: EntryCause): string {
  const subject = `${index}  ${pcr}  ${fields?.path ?? '?'}${violation ? '  VIOLATION' : ''}`;
  switch (cause.kind) {
    case 'kernel':
      return `${subject}  the kernel begins each list with it`;
    case 'none':
      return `${subject}  no rule of this policy makes such an entry`;
    case 'rule': {
      const [first, ...others] = cause.candidates;
      return [`${subject}  ${candidateWords(first)}`, ...others.map((one) => `or ${candidateWords(one)}`)].join(', ');
    }
  }
}

function candidateWords({ placed, use, uid, func, untold }: Candidate): string {
  const words = FILE_USES.find(({ name }) => name === use)?.words;
  const done = words === undefined ? func : `${words} by user ${uid}`;
  const unless = untold.length === 0 ? '' : `, not known: ${untold.join(' ')}`;
  return `${placeOf(placed)} ${formatRule(placed.rule)} (${done}${unless})`;
}

function entryJson({ index, pcr, template, fields, violation }: MeasurementEntry, cause: EntryCause): object {
  const candidates = cause.kind === 'rule' ? cause.candidates : [];
  return {
    index,
    pcr,
    template,
    path: fields?.path,
    violation,
    cause: cause.kind,
    certain: cause.kind === 'rule' ? candidates.length === 1 && candidates[0]?.untold.length === 0 : undefined,
    candidates: candidates.map(({ placed, use, func, uid, untold }) => ({
      rule: ruleJson(placed),
      use,
      func,
      uid,
      untold,
    })),
  };
}
