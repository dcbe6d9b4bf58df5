/** The service's judgement, as `assay` wires it. */
import { checkManifest, compileReference } from '../../src/reference/index.ts';
import type { Judgement } from '../../src/server/index.ts';
import { requestFor, verify } from '../../src/verify/index.ts';

export const JUDGEMENT: Judgement = {
  verify,
  requestFor,
  parseReference: checkManifest,
  compileReference,
  module: import.meta.url,
};
