/** Response codes: TPM 2.0 Part 2, 6.6 (values and meanings) and Part 1, 39 (how the bits are laid out). */
import { TpmError } from './errors.ts';

/** Format zero, version 1 (Part 2, table 16): errors of the whole command. The number is the response code. */
const VER1 = {
  INITIALIZE: [0x100, 'the TPM has not been started by TPM2_Startup, or was started already'],
  FAILURE: [0x101, 'a self-test failed and the TPM is in failure mode'],
  SEQUENCE: [0x103, 'improper use of a sequence handle'],
  PRIVATE: [0x10b, 'not currently used'],
  HMAC: [0x119, 'not currently used'],
  DISABLED: [0x120, 'the command is disabled'],
  EXCLUSIVE: [0x121, 'an audit session was required to be exclusive and is not'],
  AUTH_TYPE: [0x124, 'the authorization handle is not of the right type for the command'],
  AUTH_MISSING: [0x125, 'the command needs an authorization session for a handle and none was given'],
  POLICY: [0x126, 'policy failure in a math operation or an invalid authPolicy value'],
  PCR: [0x127, 'PCR check failed'],
  PCR_CHANGED: [0x128, 'the PCRs have changed since they were checked'],
  UPGRADE: [0x12d, 'the TPM is in field upgrade mode, or the upgrade data is not as expected'],
  TOO_MANY_CONTEXTS: [0x12e, 'the context ID counter is at its maximum'],
  AUTH_UNAVAILABLE: [0x12f, 'authValue or authPolicy is not available for the selected entity'],
  REBOOT: [0x130, 'a TPM reset (_TPM_Init and Startup(CLEAR)) is required before the TPM can go on'],
  UNBALANCED: [0x131, 'the hash and the symmetric algorithm protect unequally'],
  COMMAND_SIZE: [0x142, 'commandSize does not match the bytes of the command'],
  COMMAND_CODE: [0x143, 'the TPM does not implement this command'],
  AUTHSIZE: [0x144, 'authorizationSize is out of range or exceeds the command'],
  AUTH_CONTEXT: [0x145, 'an authorization session is not allowed with this command'],
  NV_RANGE: [0x146, 'the NV offset and size go beyond the index'],
  NV_SIZE: [0x147, 'the requested NV size is larger than allowed'],
  NV_LOCKED: [0x148, 'the NV index is locked'],
  NV_AUTHORIZATION: [0x149, 'this authorization may not access the NV index'],
  NV_UNINITIALIZED: [0x14a, 'the NV index was not written yet, or the state of TPM2_Shutdown could not be restored'],
  NV_SPACE: [0x14b, 'not enough NV space'],
  NV_DEFINED: [0x14c, 'the NV index or persistent object is already defined'],
  BAD_CONTEXT: [0x150, 'the saved context is not valid'],
  CPHASH: [0x151, 'the cpHash is already set or not correct for the command'],
  PARENT: [0x152, 'the parent handle is not a valid parent'],
  NEEDS_TEST: [0x153, 'a function needs testing first'],
  NO_RESULT: [0x154, 'a number could not be processed: an unspecified internal condition'],
  SENSITIVE: [0x155, 'the sensitive area did not unmarshal correctly after decryption'],
} as const;

/** Format one (Part 2, table 17): errors of one handle, parameter or session, whose number is added to the code. */
const FMT1 = {
  ASYMMETRIC: [0x081, 'the asymmetric algorithm is not supported or not right'],
  ATTRIBUTES: [0x082, 'inconsistent attributes'],
  HASH: [0x083, 'the hash algorithm is not supported or not right here'],
  VALUE: [0x084, 'the value is out of range or not right in this context'],
  HIERARCHY: [0x085, 'the hierarchy is not enabled or not right for this use'],
  KEY_SIZE: [0x087, 'the key size is not supported'],
  MGF: [0x088, 'the mask generation function is not supported'],
  MODE: [0x089, 'the mode of operation is not supported'],
  TYPE: [0x08a, 'the type is not right for this use'],
  HANDLE: [0x08b, 'the handle is not right for this use'],
  KDF: [0x08c, 'the key derivation function is unsupported or not right for this use'],
  RANGE: [0x08d, 'the value is out of the allowed range'],
  AUTH_FAIL: [0x08e, 'the authorization HMAC check failed, and the dictionary attack counter went up'],
  NONCE: [0x08f, 'invalid nonce size or nonce value'],
  PP: [0x090, 'physical presence has to be asserted'],
  SCHEME: [0x092, 'the scheme is unsupported or incompatible'],
  SIZE: [0x095, 'the structure has the wrong size'],
  SYMMETRIC: [0x096, 'the symmetric algorithm or key size is unsupported or not right for this use'],
  TAG: [0x097, 'the structure has the wrong tag'],
  SELECTOR: [0x098, 'the union selector is not right'],
  INSUFFICIENT: [0x09a, 'the buffer ends before the value does'],
  SIGNATURE: [0x09b, 'the signature is not valid'],
  KEY: [0x09c, 'the key fields are not compatible with the selected use'],
  POLICY_FAIL: [0x09d, 'a policy check failed'],
  INTEGRITY: [0x09f, 'the integrity check failed'],
  TICKET: [0x0a0, 'the ticket is not valid'],
  RESERVED_BITS: [0x0a1, 'reserved bits are not zero'],
  BAD_AUTH: [0x0a2, 'the authorization value is wrong; no dictionary attack protection applies'],
  EXPIRED: [0x0a3, 'the policy has expired'],
  POLICY_CC: [0x0a4, 'the command code in the policy is not that of the command, or the two conflict'],
  BINDING: [0x0a5, 'the public and sensitive parts of the object are not cryptographically bound'],
  CURVE: [0x0a6, 'the elliptic curve is not supported'],
  ECC_POINT: [0x0a7, 'the point is not on the curve'],
} as const;

/** Warnings (Part 2, table 18): the command may succeed later, or after something was freed. */
const WARN = {
  CONTEXT_GAP: [0x901, 'the context gap is too large: load and save the oldest session context'],
  OBJECT_MEMORY: [0x902, 'out of memory for object contexts: flush a loaded object'],
  SESSION_MEMORY: [0x903, 'out of memory for session contexts: flush or save a session'],
  MEMORY: [0x904, 'out of shared object and session memory'],
  SESSION_HANDLES: [0x905, 'out of session handles: flush a session'],
  OBJECT_HANDLES: [0x906, 'out of object handles: flush an object'],
  LOCALITY: [0x907, 'bad locality'],
  YIELDED: [0x908, 'the TPM suspended the command: send it again'],
  CANCELED: [0x909, 'the command was cancelled'],
  TESTING: [0x90a, 'the TPM is performing self-tests'],
  REFERENCE_H0: [0x910, 'the 1st handle refers to an object or session that is not loaded'],
  REFERENCE_H1: [0x911, 'the 2nd handle refers to an object or session that is not loaded'],
  REFERENCE_H2: [0x912, 'the 3rd handle refers to an object or session that is not loaded'],
  REFERENCE_H3: [0x913, 'the 4th handle refers to an object or session that is not loaded'],
  REFERENCE_H4: [0x914, 'the 5th handle refers to an object or session that is not loaded'],
  REFERENCE_H5: [0x915, 'the 6th handle refers to an object or session that is not loaded'],
  REFERENCE_H6: [0x916, 'the 7th handle refers to an object or session that is not loaded'],
  REFERENCE_S0: [0x918, 'the 1st authorization session is not loaded'],
  REFERENCE_S1: [0x919, 'the 2nd authorization session is not loaded'],
  REFERENCE_S2: [0x91a, 'the 3rd authorization session is not loaded'],
  REFERENCE_S3: [0x91b, 'the 4th authorization session is not loaded'],
  REFERENCE_S4: [0x91c, 'the 5th authorization session is not loaded'],
  REFERENCE_S5: [0x91d, 'the 6th authorization session is not loaded'],
  REFERENCE_S6: [0x91e, 'the 7th authorization session is not loaded'],
  NV_RATE: [0x920, 'the TPM limits NV writes to spare its memory: try again later'],
  LOCKOUT: [0x921, 'authorizations are refused: the TPM is in dictionary attack lockout'],
  RETRY: [0x922, 'the TPM could not start the command: try again'],
  NV_UNAVAILABLE: [0x923, 'NV memory is not available now'],
  NOT_USED: [0x97f, 'a code that is reserved and shall not be returned'],
} as const;

const OTHER = {
  SUCCESS: [0x000, 'success'],
  BAD_TAG: [0x01e, 'the command tag is not right; what a TPM 2.0 answers to a TPM 1.2 command'],
} as const;

const ALL = { ...OTHER, ...VER1, ...FMT1, ...WARN } as const;

export type ResponseCodeName = keyof typeof ALL;

/** TPM_RC by name without its prefix: `TPM_RC.VALUE`. Format-one codes carry no number yet: see {@link rcWith}. */
export const TPM_RC = Object.fromEntries(Object.entries(ALL).map(([name, [value]]) => [name, value])) as {
  readonly [K in ResponseCodeName]: (typeof ALL)[K][0];
};

const BY_VALUE = new Map(Object.entries(ALL).map(([name, [value, meaning]]) => [value as number, { name, meaning }]));

export interface ResponseSubject {
  readonly kind: 'handle' | 'parameter' | 'session';
  /** Counted from 1, as the specification does; 0 where the TPM did not say which. */
  readonly number: number;
}

const RC_FMT1 = 0x080;
const RC_P = 0x040;
const SESSION = 0x800;

/** Adds to a format-one code what it is about; a code of another format is returned unchanged (Part 1, 39.4). */
export function rcWith(rc: number, subject: ResponseSubject): number {
  if ((rc & RC_FMT1) === 0) return rc;
  if (subject.kind === 'parameter') return rc + RC_P + ((subject.number & 0xf) << 8);
  return rc + (subject.kind === 'session' ? SESSION : 0) + ((subject.number & 0x7) << 8);
}

/** Layers of the TSS that put their number in bits 16–23 (TCG TSS 2.0 Overview and Common Structures, 3.2). */
const LAYERS: Readonly<Record<number, string>> = {
  0: 'TPM',
  6: 'feature API',
  7: 'ESAPI',
  8: 'system API',
  9: 'marshalling library',
  10: 'TCTI',
  11: 'resource manager (TPM code)',
  12: 'resource manager',
  13: 'policy library',
};

/** Layers that pass the TPM's own codes on. */
const TPM_CODE_LAYERS = new Set([0, 11]);

const TSS_BASE: readonly (readonly [name: string, meaning: string])[] = [
  ['', ''],
  ['GENERAL_FAILURE', 'catch all for errors not otherwise specified'],
  ['NOT_IMPLEMENTED', 'not implemented'],
  ['BAD_CONTEXT', 'bad context structure'],
  ['ABI_MISMATCH', 'the version of the passed structure is not this one'],
  ['BAD_REFERENCE', 'a pointer is NULL and may not be'],
  ['INSUFFICIENT_BUFFER', 'the buffer is not large enough'],
  ['BAD_SEQUENCE', 'called in the wrong order'],
  ['NO_CONNECTION', 'no connection to the next lower layer'],
  ['TRY_AGAIN', 'no answer yet: try again'],
  ['IO_ERROR', 'input or output failed'],
  ['BAD_VALUE', 'a parameter has a bad value'],
  ['NOT_PERMITTED', 'operation not permitted'],
  ['INVALID_SESSIONS', 'session structures were sent and the command does not use them, or not this number'],
  ['NO_DECRYPT_PARAM', 'the command has no parameter to be decrypted by the TPM'],
  ['NO_ENCRYPT_PARAM', 'the response has no parameter to be encrypted by the TPM'],
  ['BAD_SIZE', 'the size of a parameter is not right'],
  ['MALFORMED_RESPONSE', 'the response is malformed'],
  ['INSUFFICIENT_CONTEXT', 'the context is not large enough'],
  ['INSUFFICIENT_RESPONSE', 'the response is not long enough'],
  ['INCOMPATIBLE_TCTI', 'unknown or unusable TCTI version'],
  ['NOT_SUPPORTED', 'functionality not supported'],
  ['BAD_TCTI_STRUCTURE', 'the TCTI context is bad'],
  ['MEMORY', 'out of memory'],
  ['BAD_TR', 'invalid ESYS_TR handle'],
  ['MULTIPLE_DECRYPT_SESSIONS', 'more than one session with the decrypt attribute'],
  ['MULTIPLE_ENCRYPT_SESSIONS', 'more than one session with the encrypt attribute'],
  ['RSP_AUTH_FAILED', 'the response HMAC does not verify'],
];

export interface DecodedResponseCode {
  readonly rc: number;
  /** `TPM_RC_VALUE`, `TSS_BAD_VALUE`, or `unknown`. */
  readonly name: string;
  readonly meaning: string;
  /** Which layer of software said so. */
  readonly layer: string;
  readonly subject: ResponseSubject | undefined;
}

/** Total: every 32-bit number decodes to something. */
export function decodeResponseCode(rc: number): DecodedResponseCode {
  const layerNumber = (rc >>> 16) & 0xff;
  const layer = LAYERS[layerNumber] ?? `layer ${layerNumber}`;
  const code = rc & 0xffff;
  if (!TPM_CODE_LAYERS.has(layerNumber)) {
    const [name, meaning] = TSS_BASE[code] ?? ['', ''];
    if (name === '') return { rc, name: 'unknown', meaning: 'unknown code', layer, subject: undefined };
    return { rc, name: `TSS_${name}`, meaning, layer, subject: undefined };
  }
  const base = (code & RC_FMT1) !== 0 ? code & 0x0bf : code;
  const found = BY_VALUE.get(base);
  const name = found === undefined ? 'unknown' : `TPM_RC_${found.name}`;
  const meaning = found?.meaning ?? vendorOrUnknown(code);
  return { rc, name, meaning, layer, subject: subjectOf(code) };
}

function vendorOrUnknown(code: number): string {
  return (code & 0x480) === 0x400 ? 'a code of the TPM vendor' : 'unknown code';
}

function subjectOf(code: number): ResponseSubject | undefined {
  if ((code & RC_FMT1) === 0) return undefined;
  const number = (code >>> 8) & 0xf;
  if ((code & RC_P) !== 0) return { kind: 'parameter', number };
  return number >= 8 ? { kind: 'session', number: number - 8 } : { kind: 'handle', number };
}

/** `TPM_RC_VALUE (0x2c4), parameter 2: the value is out of range …` */
export function describeResponseCode(rc: number): string {
  const { name, meaning, layer, subject } = decodeResponseCode(rc);
  const place = subject === undefined || subject.number === 0 ? '' : `, ${subject.kind} ${subject.number}`;
  const origin = layer === 'TPM' ? '' : ` from the ${layer}`;
  return `${name} (0x${rc.toString(16)})${origin}${place}: ${meaning}`;
}

/** The error for a TPM's answer other than success. @param command the command's name, `TPM2_Quote` */
export function responseError(command: string, rc: number): TpmError {
  return new TpmError('tpm.response', `${command}: ${describeResponseCode(rc)}`, { rc });
}

/** True where the base code of `rc` is `name`, whatever handle, parameter or session it is about. */
export function isResponseCode(rc: number, name: ResponseCodeName): boolean {
  const base = (rc & RC_FMT1) !== 0 ? rc & 0x0bf : rc;
  return base === TPM_RC[name];
}

/** Whether a code is about one of the command's parameters, and not about a handle, a session or the TPM (Part 2, 6.6.2). */
export function isAboutParameter(rc: number): boolean {
  return (rc & RC_FMT1) !== 0 && (rc & RC_P) !== 0;
}
