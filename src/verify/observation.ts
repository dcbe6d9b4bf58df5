/** Observations word findings; they never make one milder (see evidence/types.ts:Observation). */
import type { Observation } from '../evidence/index.ts';
import { asListed, type CompiledReference, templateKey } from '../reference/index.ts';
import { FINDINGS } from './findings.ts';
import { cut, FindingCollector, finding, standing } from './sentence.ts';
import type { Finding } from './types.ts';

/** More processes than this make no sentence. */
const MAX_NAMED = 5;
/** Kernel: linux/sched.h TASK_COMM_LEN. */
const MAX_COMMAND = 16;

/** Adds to each file's finding which processes still run it. Matches by path and digest, so nothing unproven is told. */
export function withObservations(
  findings: readonly Finding[],
  observations: readonly Observation[],
): readonly Finding[] {
  if (observations.length === 0 || findings.length === 0) return findings;
  const byFile = new Map(observations.map((each) => [fileOf(each), each]));
  return findings.map((found) => {
    if (FINDINGS[found.code].link !== 'files') return found;
    const observation = byFile.get(`${found.found} ${asListed(found.subject)}`);
    return observation === undefined ? found : { ...found, message: `${found.message} ${stillRunning(observation)}` };
  });
}

/**
 * Approved content that still runs although its file was deleted or replaced. Whether the list has the entry is not
 * looked up: the content is approved, so a false claim gains nothing.
 */
export function deletedFiles(
  observations: readonly Observation[],
  reference: CompiledReference | undefined,
): Finding[] {
  if (reference === undefined) return [];
  const found = new FindingCollector();
  for (const observation of new Map(observations.map((each) => [fileOf(each), each])).values()) {
    const { path, kind } = observation;
    const digest = taggedDigest(observation.digest);
    if (digest === undefined || !reference.approved.has(templateKey(path, digest))) continue;
    const what = `${path} is still running in ${processes(observation)}; its file was ${kind} on disk`;
    found.add(finding('process.deleted-file', path, what, { found: digest }));
  }
  return standing(found.finish());
}

function fileOf({ path, digest }: Observation): string {
  return `${digest} ${asListed(path)}`;
}

function taggedDigest(text: string): `${string}:${string}` | undefined {
  const match = /^([a-z0-9-]+):((?:[0-9a-f]{2})+)$/.exec(text);
  return match === null ? undefined : `${match[1]}:${match[2]}`;
}

function stillRunning(observation: Observation): string {
  return `It still runs in ${processes(observation)}, and its file was ${observation.kind} on disk.`;
}

function processes({ processes: all }: Observation): string {
  const named = all.slice(0, MAX_NAMED).map(({ pid, command }) => `${cut(command, MAX_COMMAND)} (pid ${pid})`);
  const rest = all.length - named.length;
  if (named.length === 0) return 'a process';
  return rest > 0 ? `${named.join(', ')} and ${rest} more` : named.join(', ');
}
