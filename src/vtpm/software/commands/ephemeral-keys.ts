/** Ephemeral elliptic-curve keys: TPM 2.0 Part 3, 19. */
import { digest } from '../../../bytes/index.ts';
import type { RequestOf, TPM2_Commit, TPMS_ECC_POINT, TPMT_PUBLIC } from '../../../tpm/index.ts';
import { CURVES } from '../curves.ts';
import { isOnCurve, sumOfProducts, toBigInt, toBytes } from '../ecc.ts';
import { commit, nextScalar } from '../ephemeral.ts';
import type { Handlers } from '../handler.ts';
import { refuse } from '../refusal.ts';

const NONE = new Uint8Array(0);
const NO_POINT: TPMS_ECC_POINT = { x: NONE, y: NONE };

type Request = RequestOf<typeof TPM2_Commit>;

/** 19.2.1: x is the hash of s2, y is given. Undefined where both are left out. */
function secondPoint(
  { nameAlg, parameters }: Extract<TPMT_PUBLIC, { type: 'ecc' }>,
  { s2, y2 }: Request,
): TPMS_ECC_POINT | undefined {
  if (s2.length === 0) return undefined;
  if (nameAlg === 'null') return refuse('HASH', 'signHandle');
  const { p, size } = CURVES[parameters.curveID];
  const point = { x: toBytes(toBigInt(digest(nameAlg, s2)) % p, size), y: y2 };
  return isOnCurve(parameters.curveID, point) ? point : refuse('ECC_POINT', 's2');
}

export const ephemeralKeys = {
  /** 19.2: the commitment of an ECDAA signature: K = d·B, L = r·B, E = r·P1. */
  TPM2_Commit(machine, request) {
    const { signHandle, P1, s2, y2 } = request;
    const { publicArea, sensitive, name } = machine.object(signHandle);
    if (publicArea.type !== 'ecc') return refuse('KEY', 'signHandle');
    if (publicArea.parameters.scheme.scheme !== 'ecdaa') refuse('SCHEME', 'signHandle');
    if ((s2.length === 0) !== (y2.length === 0)) refuse('SIZE', 'y2');
    const { curveID } = publicArea.parameters;
    const r = nextScalar(machine, curveID, name);
    const base = secondPoint(publicArea, request);
    if (sensitive === undefined) return refuse('KEY', 'signHandle');
    const hasP1 = P1.x.length > 0 || P1.y.length > 0;
    if (hasP1 && !isOnCurve(curveID, P1)) refuse('ECC_POINT', 'P1');
    const times = (scalar: bigint, point?: TPMS_ECC_POINT): TPMS_ECC_POINT =>
      sumOfProducts(curveID, point === undefined ? { scalar } : { scalar, point }) ?? refuse('NO_RESULT');
    const K = base === undefined ? NO_POINT : times(toBigInt(sensitive.sensitive), base);
    const L = base === undefined ? NO_POINT : times(r, base);
    // Without any point it is the generator's
    const E = hasP1 ? times(r, P1) : base === undefined ? times(r) : NO_POINT;
    return { K, L, E, counter: commit(machine) };
  },

  /** 19.3 */
  TPM2_EC_Ephemeral(machine, { curveID }) {
    const Q = sumOfProducts(curveID, { scalar: nextScalar(machine, curveID, NONE) }) ?? refuse('NO_RESULT');
    return { Q, counter: commit(machine) };
  },
} satisfies Handlers;
