/** The judgement, handed in: the server stores and serves what these pure functions say. */
import type { EvidenceRequest } from '../evidence/index.ts';
import type { CompiledReference, ReferenceManifest } from '../reference/index.ts';
import type { AttestationResult, Enrolment, HostState, VerifyInput } from '../verify/index.ts';

export interface Judgement {
  verify(input: VerifyInput): AttestationResult;
  /** What to ask for next, from what the verifier holds. */
  requestFor(
    state: HostState | undefined,
    enrolment: Enrolment,
    reference: CompiledReference | undefined,
    now: number,
  ): EvidenceRequest;
  /** Every value checked. @throws {AssayError} where it is no manifest */
  parseReference(value: unknown): ReferenceManifest;
  compileReference(manifest: ReferenceManifest): CompiledReference;
  /** URL of the module that exports this very judgement as `JUDGEMENT`, for threads; left out: all is done in one. */
  readonly module?: string;
}
