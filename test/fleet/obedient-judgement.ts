/** The service's judgement, which in a thread does what an observation of the evidence tells it: end, throw or wait. */
import { existsSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import type { Evidence } from '../../src/evidence/index.ts';
import type { Judgement } from '../../src/server/index.ts';
import { JUDGEMENT as REAL } from './judgement.ts';

const STOPWATCH = new Int32Array(new SharedArrayBuffer(4));

/** A wait ends when the file is there; its beginning is shown by a file beside it, `.begun`. */
export type Order = 'end' | 'throw' | { readonly waitFor: string };

/** Evidence that carries the order. */
export function ordering(evidence: Evidence, order: Order): Evidence {
  const path = typeof order === 'string' ? `/${order}` : order.waitFor;
  return { ...evidence, observations: [{ path, digest: 'order', kind: 'deleted', processes: [] }] };
}

function obey({ observations }: Evidence): void {
  const [observation] = observations;
  if (isMainThread || observation?.digest !== 'order') return;
  if (observation.path === '/end') process.exit(3);
  if (observation.path === '/throw') throw new TypeError('ordered to throw');
  writeFileSync(`${observation.path}.begun`, '');
  while (!existsSync(observation.path)) Atomics.wait(STOPWATCH, 0, 0, 5);
}

export const JUDGEMENT: Judgement = {
  ...REAL,
  verify(input) {
    obey(input.evidence);
    return REAL.verify(input);
  },
  module: import.meta.url,
};
