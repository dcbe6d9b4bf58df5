/** What the server and the thread that verifies say to each other: structured-cloneable plain data. */
import type { GrowingLogEvidence } from '../evidence/index.ts';
import type { ReferenceManifest } from '../reference/index.ts';
import type { AttestationResult, VerifyInput } from '../verify/index.ts';

/** The thread's `workerData`. */
export interface VerifyThreadData {
  /** URL of the module that exports `JUDGEMENT`. */
  readonly module: string;
}

export type ToVerifyThread =
  | {
      readonly kind: 'verify';
      readonly input: Omit<VerifyInput, 'reference'>;
      /** Identity of the compiled reference; undefined where none judges this host. */
      readonly referenceId: string | undefined;
    }
  /** The answer to `needs-reference`. */
  | { readonly kind: 'reference'; readonly manifest: ReferenceManifest };

export type FromVerifyThread =
  /** With the list, whose bytes were moved to the thread and not copied. */
  | { readonly kind: 'result'; readonly result: AttestationResult; readonly imaLog: GrowingLogEvidence }
  | { readonly kind: 'needs-reference' }
  /** The verifier threw, which it never should; the thread lives on. */
  | { readonly kind: 'fault'; readonly error: unknown };

/** The memory of a long list, to be moved: a copy would hold up the event loop; none where others share it. */
export function movable(log: GrowingLogEvidence): ArrayBuffer[] {
  if (log.kind === 'absent') return [];
  const { buffer, byteLength } = log.bytes;
  return buffer instanceof ArrayBuffer && byteLength === buffer.byteLength ? [buffer] : [];
}
