/** Constants and interface types: TPM 2.0 Part 2, chapters 6, 7 and 9; algorithm numbers: TCG Algorithm Registry. */
import { type Codec, named, oneOf, type Profile, restricted, type TypeOf, uint8, uint16, uint32 } from './codec.ts';
import { TPM_RC } from './response-codes.ts';

/** TPM_ALG_ID (Part 2, 6.3). Names as tpm2-tools writes them; hashes as {@link DigestAlgorithm} does. */
export const TPM_ALG = {
  rsa: 0x0001,
  tdes: 0x0003,
  sha1: 0x0004,
  hmac: 0x0005,
  aes: 0x0006,
  mgf1: 0x0007,
  keyedhash: 0x0008,
  xor: 0x000a,
  sha256: 0x000b,
  sha384: 0x000c,
  sha512: 0x000d,
  null: 0x0010,
  sm3: 0x0012,
  sm4: 0x0013,
  rsassa: 0x0014,
  rsaes: 0x0015,
  rsapss: 0x0016,
  oaep: 0x0017,
  ecdsa: 0x0018,
  ecdh: 0x0019,
  ecdaa: 0x001a,
  sm2: 0x001b,
  ecschnorr: 0x001c,
  ecmqv: 0x001d,
  kdf1_sp800_56a: 0x0020,
  kdf2: 0x0021,
  kdf1_sp800_108: 0x0022,
  ecc: 0x0023,
  symcipher: 0x0025,
  camellia: 0x0026,
  'sha3-256': 0x0027,
  'sha3-384': 0x0028,
  'sha3-512': 0x0029,
  cmac: 0x003f,
  ctr: 0x0040,
  ofb: 0x0041,
  cbc: 0x0042,
  cfb: 0x0043,
  ecb: 0x0044,
} as const;
export type AlgorithmName = keyof typeof TPM_ALG;

/** The name of an algorithm number, or undefined for one that is not in the table. */
export function algorithmName(id: number): AlgorithmName | undefined {
  return ALG_NAMES.get(id);
}
const ALG_NAMES = new Map(
  Object.entries(TPM_ALG).map(([name, id]): [number, AlgorithmName] => [id, name as AlgorithmName]), // its own keys
);

function algorithms<const N extends AlgorithmName>(name: string, rc: number, ...names: N[]) {
  const table = Object.fromEntries(names.map((key) => [key, TPM_ALG[key]])) as { [K in N]: (typeof TPM_ALG)[K] };
  return oneOf(name, uint16, rc, table);
}

export const TPM_ALG_ID = oneOf('TPM_ALG_ID', uint16, TPM_RC.VALUE, TPM_ALG);

const HASHES = ['sha1', 'sha256', 'sha384', 'sha512', 'sm3', 'sha3-256', 'sha3-384', 'sha3-512'] as const;
/** Part 2, 9.27. The null hash, where a table writes `+TPMI_ALG_HASH`, has its own type below. */
export const TPMI_ALG_HASH = algorithms('TPMI_ALG_HASH', TPM_RC.HASH, ...HASHES);
export type TPMI_ALG_HASH = TypeOf<typeof TPMI_ALG_HASH>;
export const TPMI_ALG_HASH_NULL = algorithms('TPMI_ALG_HASH+', TPM_RC.HASH, ...HASHES, 'null');
export type TPMI_ALG_HASH_NULL = TypeOf<typeof TPMI_ALG_HASH_NULL>;

const CIPHERS = ['aes', 'sm4', 'camellia', 'tdes'] as const;
export const TPMI_ALG_SYM = algorithms('TPMI_ALG_SYM+', TPM_RC.SYMMETRIC, ...CIPHERS, 'xor', 'null');
export const TPMI_ALG_SYM_OBJECT = algorithms('TPMI_ALG_SYM_OBJECT', TPM_RC.SYMMETRIC, ...CIPHERS);
export const TPMI_ALG_SYM_OBJECT_NULL = algorithms('TPMI_ALG_SYM_OBJECT+', TPM_RC.SYMMETRIC, ...CIPHERS, 'null');
const CIPHER_MODES = ['ctr', 'ofb', 'cbc', 'cfb', 'ecb'] as const;
export const TPMI_ALG_SYM_MODE = algorithms('TPMI_ALG_SYM_MODE+', TPM_RC.MODE, ...CIPHER_MODES, 'cmac', 'null');
export const TPMI_ALG_CIPHER_MODE = algorithms('TPMI_ALG_CIPHER_MODE+', TPM_RC.MODE, ...CIPHER_MODES, 'null');
/** Hashes for an HMAC, or CMAC (Part 2, 9.34). */
export const TPMI_ALG_MAC_SCHEME = algorithms('TPMI_ALG_MAC_SCHEME+', TPM_RC.SYMMETRIC, ...HASHES, 'cmac', 'null');
export type TPMI_ALG_MAC_SCHEME = TypeOf<typeof TPMI_ALG_MAC_SCHEME>;
export const TPMI_ALG_KDF = algorithms(
  'TPMI_ALG_KDF+',
  TPM_RC.KDF,
  'mgf1',
  'kdf1_sp800_56a',
  'kdf2',
  'kdf1_sp800_108',
  'null',
);
const ECC_SIGN = ['ecdsa', 'sm2', 'ecdaa', 'ecschnorr'] as const;
const SIGN = ['rsassa', 'rsapss', ...ECC_SIGN, 'hmac'] as const;
export const TPMI_ALG_SIG_SCHEME = algorithms('TPMI_ALG_SIG_SCHEME', TPM_RC.SCHEME, ...SIGN);
export const TPMI_ALG_SIG_SCHEME_NULL = algorithms('TPMI_ALG_SIG_SCHEME+', TPM_RC.SCHEME, ...SIGN, 'null');
export const TPMI_ECC_KEY_EXCHANGE = algorithms('TPMI_ECC_KEY_EXCHANGE', TPM_RC.SCHEME, 'ecdh', 'ecmqv', 'sm2');
export const TPMI_ALG_KEYEDHASH_SCHEME = algorithms('TPMI_ALG_KEYEDHASH_SCHEME+', TPM_RC.VALUE, 'hmac', 'xor', 'null');
export const TPMI_ALG_RSA_SCHEME = algorithms(
  'TPMI_ALG_RSA_SCHEME+',
  TPM_RC.VALUE,
  'rsaes',
  'oaep',
  'rsassa',
  'rsapss',
  'null',
);
export const TPMI_ALG_RSA_DECRYPT = algorithms('TPMI_ALG_RSA_DECRYPT+', TPM_RC.VALUE, 'rsaes', 'oaep', 'null');
export const TPMI_ALG_ECC_SCHEME = algorithms(
  'TPMI_ALG_ECC_SCHEME+',
  TPM_RC.SCHEME,
  ...ECC_SIGN,
  'ecdh',
  'ecmqv',
  'null',
);
export const TPMI_ALG_PUBLIC = algorithms('TPMI_ALG_PUBLIC', TPM_RC.TYPE, 'rsa', 'keyedhash', 'ecc', 'symcipher');

/** TPM_ECC_CURVE (Part 2, 6.4). */
export const TPM_ECC_CURVE = {
  none: 0x0000,
  p192: 0x0001,
  p224: 0x0002,
  p256: 0x0003,
  p384: 0x0004,
  p521: 0x0005,
  bn_p256: 0x0010,
  bn_p638: 0x0011,
  sm2_p256: 0x0020,
} as const;
const { none: _, ...CURVES } = TPM_ECC_CURVE;
export const TPMI_ECC_CURVE = oneOf('TPMI_ECC_CURVE', uint16, TPM_RC.CURVE, CURVES);
export type TPMI_ECC_CURVE = TypeOf<typeof TPMI_ECC_CURVE>;

/** Key sizes (Part 2, 11.1.2 and 11.2.4): a client takes any, a TPM those that it has. */
function keyBits(name: string): Codec<number> {
  return restricted(name, uint16, TPM_RC.VALUE, (bits, profile) => profile?.numbers.get(name)?.has(bits) ?? true);
}
export const TPMI_AES_KEY_BITS = keyBits('TPMI_AES_KEY_BITS');
export const TPMI_SM4_KEY_BITS = keyBits('TPMI_SM4_KEY_BITS');
export const TPMI_CAMELLIA_KEY_BITS = keyBits('TPMI_CAMELLIA_KEY_BITS');
export const TPMI_TDES_KEY_BITS = keyBits('TPMI_TDES_KEY_BITS');
export const TPMI_RSA_KEY_BITS = keyBits('TPMI_RSA_KEY_BITS');

/** TPM_ST (Part 2, 6.9). */
export const TPM_ST = {
  RSP_COMMAND: 0x00c4,
  NULL: 0x8000,
  NO_SESSIONS: 0x8001,
  SESSIONS: 0x8002,
  ATTEST_NV: 0x8014,
  ATTEST_COMMAND_AUDIT: 0x8015,
  ATTEST_SESSION_AUDIT: 0x8016,
  ATTEST_CERTIFY: 0x8017,
  ATTEST_QUOTE: 0x8018,
  ATTEST_TIME: 0x8019,
  ATTEST_CREATION: 0x801a,
  ATTEST_NV_DIGEST: 0x801c,
  CREATION: 0x8021,
  VERIFIED: 0x8022,
  AUTH_SECRET: 0x8023,
  HASHCHECK: 0x8024,
  AUTH_SIGNED: 0x8025,
  FU_MANIFEST: 0x8029,
} as const;

/** Any structure tag that there is. */
export const TPM_ST_NUMBER = restricted('TPM_ST', uint16, TPM_RC.VALUE, (tag) =>
  Object.values<number>(TPM_ST).includes(tag),
);

/** TPM_GENERATED_VALUE: what a TPM puts in front of everything it attests, and refuses to sign from outside. */
export const TPM_GENERATED = 0xff544347;

/** TPM_HT (Part 2, 7.2): the most significant octet of a handle. */
export const TPM_HT = {
  PCR: 0x00,
  NV_INDEX: 0x01,
  HMAC_SESSION: 0x02,
  POLICY_SESSION: 0x03,
  PERMANENT: 0x40,
  TRANSIENT: 0x80,
  PERSISTENT: 0x81,
  AC: 0x90,
} as const;

/** The TPM_HT of a handle. */
export function handleType(handle: number): number {
  return handle >>> 24;
}

/** TPM_RH (Part 2, 7.4). */
export const TPM_RH = {
  OWNER: 0x40000001,
  REVOKE: 0x40000002,
  EK: 0x40000006,
  NULL: 0x40000007,
  UNASSIGNED: 0x40000008,
  /** TPM_RS_PW: the "session" of a password. */
  PW: 0x40000009,
  LOCKOUT: 0x4000000a,
  ENDORSEMENT: 0x4000000b,
  PLATFORM: 0x4000000c,
  PLATFORM_NV: 0x4000000d,
} as const;

/** The low part of a handle: its number among those of its kind. */
export function handleNumber(handle: number): number {
  return handle & 0xffffff;
}

/** Whether a TPM has so many handles of this kind (Part 2, 7.5: TRANSIENT_LAST and the like). */
function isWithin(value: number, profile: Profile | undefined): boolean {
  const count = profile?.handles.get(handleType(value));
  return count === undefined || handleNumber(value) < count;
}

/** Handles are plain numbers; each TPMI_ type says which ranges and which permanent handles it takes. */
function handle(name: string, types: readonly number[], values: readonly number[] = []): Codec<number> {
  return restricted(
    name,
    uint32,
    TPM_RC.VALUE,
    (value, profile) => values.includes(value) || (types.includes(handleType(value)) && isWithin(value, profile)),
  );
}

const { OWNER, ENDORSEMENT, PLATFORM, LOCKOUT, NULL, PW } = TPM_RH;
const { PCR, NV_INDEX, HMAC_SESSION, POLICY_SESSION, TRANSIENT, PERSISTENT } = TPM_HT;
export const TPM_HANDLE: Codec<number> = named('TPM_HANDLE', uint32);
export const TPMI_DH_OBJECT = handle('TPMI_DH_OBJECT', [TRANSIENT, PERSISTENT]);
export const TPMI_DH_OBJECT_NULL = handle('TPMI_DH_OBJECT+', [TRANSIENT, PERSISTENT], [NULL]);
export const TPMI_DH_PERSISTENT = handle('TPMI_DH_PERSISTENT', [PERSISTENT]);
export const TPMI_DH_PARENT = handle('TPMI_DH_PARENT+', [TRANSIENT, PERSISTENT], [OWNER, PLATFORM, ENDORSEMENT, NULL]);
/** TPM_RH_AUTH_00 to TPM_RH_AUTH_FF: a maker's own authorizations. */
const MAKERS_AUTH = Array.from({ length: 0x100 }, (_, i) => 0x40000010 + i);
const ENTITIES = [OWNER, ENDORSEMENT, PLATFORM, LOCKOUT, ...MAKERS_AUTH];
export const TPMI_DH_ENTITY = handle('TPMI_DH_ENTITY', [TRANSIENT, PERSISTENT, NV_INDEX, PCR], ENTITIES);
export const TPMI_DH_ENTITY_NULL = handle(
  'TPMI_DH_ENTITY+',
  [TRANSIENT, PERSISTENT, NV_INDEX, PCR],
  [...ENTITIES, NULL],
);
export const TPMI_DH_PCR = handle('TPMI_DH_PCR', [PCR]);
export const TPMI_DH_PCR_NULL = handle('TPMI_DH_PCR+', [PCR], [NULL]);
export const TPMI_DH_CONTEXT = handle('TPMI_DH_CONTEXT', [HMAC_SESSION, POLICY_SESSION, TRANSIENT]);
/** What a saved context's handle may be (Part 2, 9.13): a session, or a number that tells the kind of object. */
export const TPMI_DH_SAVED = handle(
  'TPMI_DH_SAVED',
  [HMAC_SESSION, POLICY_SESSION],
  [0x80000000, 0x80000001, 0x80000002],
);
export const TPMI_SH_AUTH_SESSION = handle('TPMI_SH_AUTH_SESSION+', [HMAC_SESSION, POLICY_SESSION], [PW]);
export const TPMI_SH_HMAC = handle('TPMI_SH_HMAC', [HMAC_SESSION]);
export const TPMI_SH_POLICY = handle('TPMI_SH_POLICY', [POLICY_SESSION]);
export const TPMI_RH_HIERARCHY = handle('TPMI_RH_HIERARCHY', [], [OWNER, ENDORSEMENT, PLATFORM]);
export const TPMI_RH_HIERARCHY_NULL = handle('TPMI_RH_HIERARCHY+', [], [OWNER, ENDORSEMENT, PLATFORM, NULL]);
export const TPMI_RH_HIERARCHY_AUTH = handle('TPMI_RH_HIERARCHY_AUTH', [], [OWNER, ENDORSEMENT, PLATFORM, LOCKOUT]);
export const TPMI_RH_ENABLES = handle('TPMI_RH_ENABLES', [], [OWNER, ENDORSEMENT, PLATFORM, TPM_RH.PLATFORM_NV]);
export const TPMI_RH_ENDORSEMENT = handle('TPMI_RH_ENDORSEMENT', [], [ENDORSEMENT]);
export const TPMI_RH_PROVISION = handle('TPMI_RH_PROVISION', [], [OWNER, PLATFORM]);
export const TPMI_RH_PLATFORM = handle('TPMI_RH_PLATFORM', [], [PLATFORM]);
export const TPMI_RH_CLEAR = handle('TPMI_RH_CLEAR', [], [LOCKOUT, PLATFORM]);
export const TPMI_RH_LOCKOUT = handle('TPMI_RH_LOCKOUT', [], [LOCKOUT]);
export const TPMI_RH_NV_AUTH = handle('TPMI_RH_NV_AUTH', [NV_INDEX], [PLATFORM, OWNER]);
export const TPMI_RH_NV_INDEX = handle('TPMI_RH_NV_INDEX', [NV_INDEX]);

/** TPMI_YES_NO (Part 2, 9.2). */
export const TPMI_YES_NO: Codec<boolean> = {
  name: 'TPMI_YES_NO',
  shape: { kind: 'own' },
  read: (reader) => YES_NO.read(reader) === 'yes',
  write: (writer, value) => YES_NO.write(writer, value ? 'yes' : 'no'),
};
const YES_NO = oneOf('TPMI_YES_NO', uint8, TPM_RC.VALUE, { no: 0, yes: 1 });

export const TPM_SU = oneOf('TPM_SU', uint16, TPM_RC.VALUE, { clear: 0, state: 1 });
export const TPM_SE = oneOf('TPM_SE', uint8, TPM_RC.VALUE, { hmac: 0, policy: 1, trial: 3 });

/** TPM_CLOCK_ADJUST (Part 2, 6.7): an INT8; `none` is TPM_CLOCK_NO_CHANGE. */
export const TPM_CLOCK_ADJUST = oneOf('TPM_CLOCK_ADJUST', uint8, TPM_RC.VALUE, {
  coarse_slower: 0xfd,
  medium_slower: 0xfe,
  fine_slower: 0xff,
  none: 0,
  fine_faster: 1,
  medium_faster: 2,
  coarse_faster: 3,
});
export type TPM_CLOCK_ADJUST = TypeOf<typeof TPM_CLOCK_ADJUST>;

/** TPM_EO (Part 2, 6.11): how TPM2_PolicyNV and TPM2_PolicyCounterTimer compare. */
export const TPM_EO = oneOf('TPM_EO', uint16, TPM_RC.VALUE, {
  eq: 0,
  neq: 1,
  signed_gt: 2,
  unsigned_gt: 3,
  signed_lt: 4,
  unsigned_lt: 5,
  signed_ge: 6,
  unsigned_ge: 7,
  signed_le: 8,
  unsigned_le: 9,
  bitset: 10,
  bitclear: 11,
});

/** TPM_CAP (Part 2, 6.12). */
export const TPM_CAP = oneOf('TPM_CAP', uint32, TPM_RC.VALUE, {
  algs: 0,
  handles: 1,
  commands: 2,
  pp_commands: 3,
  audit_commands: 4,
  pcrs: 5,
  tpm_properties: 6,
  pcr_properties: 7,
  ecc_curves: 8,
  auth_policies: 9,
  act: 10,
});
export type TPM_CAP = TypeOf<typeof TPM_CAP>;

/** TPM_PT (Part 2, 6.13): fixed properties from 0x100, variable ones from 0x200. */
export const TPM_PT = {
  FAMILY_INDICATOR: 0x100,
  LEVEL: 0x101,
  REVISION: 0x102,
  DAY_OF_YEAR: 0x103,
  YEAR: 0x104,
  MANUFACTURER: 0x105,
  VENDOR_STRING_1: 0x106,
  VENDOR_STRING_2: 0x107,
  VENDOR_STRING_3: 0x108,
  VENDOR_STRING_4: 0x109,
  VENDOR_TPM_TYPE: 0x10a,
  FIRMWARE_VERSION_1: 0x10b,
  FIRMWARE_VERSION_2: 0x10c,
  INPUT_BUFFER: 0x10d,
  HR_TRANSIENT_MIN: 0x10e,
  HR_PERSISTENT_MIN: 0x10f,
  HR_LOADED_MIN: 0x110,
  ACTIVE_SESSIONS_MAX: 0x111,
  PCR_COUNT: 0x112,
  PCR_SELECT_MIN: 0x113,
  CONTEXT_GAP_MAX: 0x114,
  NV_COUNTERS_MAX: 0x116,
  NV_INDEX_MAX: 0x117,
  MEMORY: 0x118,
  CLOCK_UPDATE: 0x119,
  CONTEXT_HASH: 0x11a,
  CONTEXT_SYM: 0x11b,
  CONTEXT_SYM_SIZE: 0x11c,
  ORDERLY_COUNT: 0x11d,
  MAX_COMMAND_SIZE: 0x11e,
  MAX_RESPONSE_SIZE: 0x11f,
  MAX_DIGEST: 0x120,
  MAX_OBJECT_CONTEXT: 0x121,
  MAX_SESSION_CONTEXT: 0x122,
  PS_FAMILY_INDICATOR: 0x123,
  PS_LEVEL: 0x124,
  PS_REVISION: 0x125,
  PS_DAY_OF_YEAR: 0x126,
  PS_YEAR: 0x127,
  SPLIT_MAX: 0x128,
  TOTAL_COMMANDS: 0x129,
  LIBRARY_COMMANDS: 0x12a,
  VENDOR_COMMANDS: 0x12b,
  NV_BUFFER_MAX: 0x12c,
  MODES: 0x12d,
  MAX_CAP_BUFFER: 0x12e,
  PERMANENT: 0x200,
  STARTUP_CLEAR: 0x201,
  HR_NV_INDEX: 0x202,
  HR_LOADED: 0x203,
  HR_LOADED_AVAIL: 0x204,
  HR_ACTIVE: 0x205,
  HR_ACTIVE_AVAIL: 0x206,
  HR_TRANSIENT_AVAIL: 0x207,
  HR_PERSISTENT: 0x208,
  HR_PERSISTENT_AVAIL: 0x209,
  NV_COUNTERS: 0x20a,
  NV_COUNTERS_AVAIL: 0x20b,
  ALGORITHM_SET: 0x20c,
  LOADED_CURVES: 0x20d,
  LOCKOUT_COUNTER: 0x20e,
  MAX_AUTH_FAIL: 0x20f,
  LOCKOUT_INTERVAL: 0x210,
  LOCKOUT_RECOVERY: 0x211,
  NV_WRITE_RECOVERY: 0x212,
  AUDIT_COUNTER_0: 0x213,
  AUDIT_COUNTER_1: 0x214,
} as const;

/** TPM_PT_PCR (Part 2, 6.14). */
export const TPM_PT_PCR = {
  SAVE: 0x00,
  EXTEND_L0: 0x01,
  RESET_L0: 0x02,
  EXTEND_L1: 0x03,
  RESET_L1: 0x04,
  EXTEND_L2: 0x05,
  RESET_L2: 0x06,
  EXTEND_L3: 0x07,
  RESET_L3: 0x08,
  EXTEND_L4: 0x09,
  RESET_L4: 0x0a,
  NO_INCREMENT: 0x11,
  DRTM_RESET: 0x12,
  POLICY: 0x13,
  AUTH: 0x14,
} as const;

/** TPM_NT (Part 2, 13.4): the `nt` of TPMA_NV. */
export const TPM_NT = { ORDINARY: 0, COUNTER: 1, BITS: 2, EXTEND: 4, PIN_FAIL: 8, PIN_PASS: 9 } as const;
