/** What the server judges with: the verifier and the reference room, handed in so that the service holds no policy. */
import { checkManifest, compileReference } from '../reference/index.ts';
import type { Judgement } from '../server/index.ts';
import { requestFor, verify } from '../verify/index.ts';

export const JUDGEMENT: Judgement = {
  verify,
  requestFor,
  parseReference: checkManifest,
  compileReference,
  module: import.meta.url,
};
