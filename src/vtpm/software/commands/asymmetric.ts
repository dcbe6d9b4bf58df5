/** Asymmetric primitives: TPM 2.0 Part 3, 14. */
import type { TPMI_ECC_CURVE, TPMT_PUBLIC, TPMT_RSA_DECRYPT } from '../../../tpm/index.ts';
import { CURVES } from '../curves.ts';
import { isOnCurve, multiply, toBigInt, toBytes } from '../ecc.ts';
import { committedScalar, endCommit } from '../ephemeral.ts';
import type { Handlers } from '../handler.ts';
import { type Exchange, ecdhExchange, mqvExchange, type Shared, sm2Exchange } from '../key-exchange.ts';
import { eccKey } from '../key-generation.ts';
import type { Machine } from '../machine.ts';
import { refuse } from '../refusal.ts';
import { type RsaArea, rsaDecrypt, rsaEncrypt } from '../rsa.ts';
import type { LoadedObject } from '../state.ts';

const NONE = new Uint8Array(0);

/** Part 4, CryptRsaSelectScheme: the key's own scheme, or the caller's where the key leaves it open. */
function selectPadding({ parameters }: RsaArea, asked: TPMT_RSA_DECRYPT): TPMT_RSA_DECRYPT {
  const own = parameters.scheme;
  if (own.scheme === 'null') return asked;
  const isSame = asked.scheme === own.scheme && (!('hashAlg' in asked) || asked.hashAlg === hashOf(own));
  if (asked.scheme !== 'null' && !isSame) refuse('SCHEME', 'inScheme');
  // A scheme of signatures is none to encrypt with
  return own.scheme === 'rsaes' || own.scheme === 'oaep' ? own : refuse('SCHEME');
}

function hashOf(scheme: RsaArea['parameters']['scheme']): string | undefined {
  return 'hashAlg' in scheme ? scheme.hashAlg : undefined;
}

/** Part 3, 14.2.1: a label ends with a NUL. */
function checkLabel(label: Uint8Array): void {
  if (label.length > 0 && label.at(-1) !== 0) refuse('VALUE', 'label');
}

type EccArea = Extract<TPMT_PUBLIC, { type: 'ecc' }>;

/** Refuses all but keys for decryption of what comes from outside. */
function decryptingArea(key: LoadedObject, field: string): EccArea {
  const { publicArea } = key;
  if (publicArea.type !== 'ecc') return refuse('KEY', field);
  const { restricted, decrypt } = publicArea.objectAttributes;
  if (restricted || !decrypt) refuse('ATTRIBUTES', field);
  return publicArea;
}

function scalarOf({ sensitive }: LoadedObject): Uint8Array {
  return sensitive?.sensitive ?? refuse('KEY');
}

const EXCHANGES: Readonly<Record<string, (exchange: Exchange) => Shared | undefined>> = {
  ecdh: ecdhExchange,
  ecmqv: mqvExchange,
  sm2: sm2Exchange,
};

/** The key's own scheme, or the caller's. */
function selectExchange({ parameters }: EccArea, asked: string) {
  const own = parameters.scheme.scheme;
  if (own !== 'null' && own !== asked) refuse('SCHEME', 'inScheme');
  return EXCHANGES[asked] ?? refuse('SCHEME', 'inScheme');
}

/** Part 2, 11.4: what TPMs have for its signatures is none of the curves that are here. */
function detail(curveID: TPMI_ECC_CURVE) {
  const { keySize, size, kdf, p, a, b, gX, gY, n } = CURVES[curveID];
  // As long as the prime; but zero is one octet, as it is from the reference code
  const coordinate = (value: bigint): Uint8Array => toBytes(value, value === 0n ? 1 : size);
  return {
    curveID,
    keySize,
    kdf: kdf === undefined ? ({ scheme: 'null' } as const) : ({ scheme: 'kdf1_sp800_56a', hashAlg: kdf } as const),
    sign: { scheme: 'null' } as const,
    p: coordinate(p),
    a: coordinate(a),
    b: coordinate(b),
    gX: coordinate(gX),
    gY: coordinate(gY),
    n: toBytes(n, Math.ceil(n.toString(16).length / 2)),
    h: Uint8Array.of(1),
  };
}

/** @returns an ephemeral key of the curve, and the point that it shares with `area`'s key */
function exchangeOnce(machine: Machine, { parameters, unique }: EccArea) {
  const { curveID } = parameters;
  if (!isOnCurve(curveID, unique)) return refuse('KEY', 'keyHandle');
  const { d, x, y } = eccKey(curveID, (size) => Buffer.from(machine.random(size)));
  return { zPoint: multiply(curveID, d, unique) ?? refuse('NO_RESULT'), pubPoint: { x, y } };
}

export const asymmetric = {
  /** 14.2 */
  TPM2_RSA_Encrypt(machine, { keyHandle, message, inScheme, label }) {
    const { publicArea } = machine.object(keyHandle);
    if (publicArea.type !== 'rsa') return refuse('KEY', 'keyHandle');
    if (!publicArea.objectAttributes.decrypt) refuse('ATTRIBUTES', 'keyHandle');
    checkLabel(label);
    return { outData: rsaEncrypt(publicArea, selectPadding(publicArea, inScheme), message, label) };
  },

  /** 14.3 */
  TPM2_RSA_Decrypt(machine, { keyHandle, cipherText, inScheme, label }) {
    const key = machine.object(keyHandle);
    const { publicArea } = key;
    if (publicArea.type !== 'rsa') return refuse('KEY', 'keyHandle');
    const { restricted, decrypt } = publicArea.objectAttributes;
    if (restricted || !decrypt) refuse('ATTRIBUTES', 'keyHandle');
    checkLabel(label);
    return { message: rsaDecrypt(key, selectPadding(publicArea, inScheme), cipherText, label) };
  },

  /** 14.4 */
  TPM2_ECDH_KeyGen(machine, { keyHandle }) {
    const { publicArea } = machine.object(keyHandle);
    return publicArea.type === 'ecc' ? exchangeOnce(machine, publicArea) : refuse('KEY', 'keyHandle');
  },

  /** 14.5 */
  TPM2_ECDH_ZGen(machine, { keyHandle, inPoint }) {
    const key = machine.object(keyHandle);
    const { curveID, scheme } = decryptingArea(key, 'keyHandle').parameters;
    if (scheme.scheme !== 'null' && scheme.scheme !== 'ecdh') refuse('SCHEME', 'keyHandle');
    if (!isOnCurve(curveID, inPoint)) refuse('ECC_POINT', 'inPoint');
    return { outPoint: multiply(curveID, scalarOf(key), inPoint) ?? refuse('NO_RESULT') };
  },

  /** 14.6 */
  TPM2_ECC_Parameters: (_machine, { curveID }) => ({ parameters: detail(curveID) }),

  /** 14.7: the ephemeral key of this side comes of TPM2_EC_Ephemeral. */
  TPM2_ZGen_2Phase(machine, { keyA, inQsB, inQeB, inScheme, counter }) {
    const key = machine.object(keyA);
    const area = decryptingArea(key, 'keyA');
    const exchange = selectExchange(area, inScheme);
    const curve = area.parameters.curveID;
    if (!isOnCurve(curve, inQsB)) refuse('ECC_POINT', 'inQsB');
    if (!isOnCurve(curve, inQeB)) refuse('ECC_POINT', 'inQeB');
    const ephemeralScalar = committedScalar(machine, curve, NONE, counter) ?? refuse('VALUE', 'counter');
    const staticScalar = toBigInt(scalarOf(key));
    const shared = exchange({ curve, staticScalar, ephemeralScalar, staticPoint: inQsB, ephemeralPoint: inQeB });
    if (shared === undefined) return refuse('NO_RESULT');
    endCommit(machine, counter);
    return shared;
  },
} satisfies Handlers;
