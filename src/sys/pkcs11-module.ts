/**
 * The functions of a PKCS#11 module (OASIS PKCS #11 v2.40) through its function list. CK_ULONG is 8 bytes and structures
 * are not packed: Linux on the platforms that koffi's 64-bit builds serve.
 */
import type * as Koffi from 'koffi';
import { SysError } from './error.ts';
import { foreign } from './native.ts';

type Call = (...args: readonly unknown[]) => number | bigint;

/** Place in CK_FUNCTION_LIST, counted from C_Initialize, and parameters (pkcs11f.h). */
const FUNCTIONS = {
  C_Initialize: [0, ['uint8_t *']],
  C_GetSlotList: [4, ['uint8_t', 'uint64_t *', 'uint64_t *']],
  C_GetTokenInfo: [6, ['unsigned long', 'uint8_t *']],
  C_OpenSession: [12, ['unsigned long', 'unsigned long', 'void *', 'void *', 'uint64_t *']],
  C_CloseSession: [13, ['unsigned long']],
  C_Login: [18, ['unsigned long', 'unsigned long', 'const uint8_t *', 'unsigned long']],
  C_GetAttributeValue: [24, ['unsigned long', 'unsigned long', 'void *', 'unsigned long']],
  C_FindObjectsInit: [26, ['unsigned long', 'void *', 'unsigned long']],
  C_FindObjects: [27, ['unsigned long', 'uint64_t *', 'unsigned long', 'uint64_t *']],
  C_FindObjectsFinal: [28, ['unsigned long']],
  C_DecryptInit: [33, ['unsigned long', 'uint8_t *', 'unsigned long']],
  C_Decrypt: [34, ['unsigned long', 'const uint8_t *', 'unsigned long', 'uint8_t *', 'uint64_t *']],
  C_SignInit: [42, ['unsigned long', 'uint8_t *', 'unsigned long']],
  C_Sign: [43, ['unsigned long', 'const uint8_t *', 'unsigned long', 'uint8_t *', 'uint64_t *']],
} as const satisfies Record<string, readonly [number, readonly string[]]>;
export type Pkcs11Function = keyof typeof FUNCTIONS;

/** Return values that a person meets, by the specification's names (pkcs11t.h). */
const CKR: Readonly<Record<number, string>> = {
  5: 'CKR_GENERAL_ERROR',
  6: 'CKR_FUNCTION_FAILED',
  18: 'CKR_ATTRIBUTE_TYPE_INVALID',
  48: 'CKR_DEVICE_ERROR',
  50: 'CKR_DEVICE_REMOVED',
  99: 'CKR_KEY_TYPE_INCONSISTENT',
  104: 'CKR_KEY_FUNCTION_NOT_PERMITTED',
  112: 'CKR_MECHANISM_INVALID',
  160: 'CKR_PIN_INCORRECT',
  161: 'CKR_PIN_INVALID',
  162: 'CKR_PIN_LEN_RANGE',
  164: 'CKR_PIN_LOCKED',
  224: 'CKR_TOKEN_NOT_PRESENT',
  257: 'CKR_USER_NOT_LOGGED_IN',
};
const CKR_USER_ALREADY_LOGGED_IN = 0x100;
const CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x191;

const CKF_OS_LOCKING_OK = 2;
const UNAVAILABLE = 0xffff_ffff_ffff_ffffn;

/** An attribute of a template: its type, and its value where one is given. */
export interface Attribute {
  readonly type: number;
  readonly value: Buffer;
}

/** One module, initialised for this process; loaded once a thread. */
export class Pkcs11Module {
  readonly #koffi: typeof Koffi;
  readonly #calls: Readonly<Record<Pkcs11Function, Call>>;
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
    this.#koffi = foreign();
    this.#calls = functionsOf(this.#koffi, path);
    const args = Buffer.alloc(48); // CK_C_INITIALIZE_ARGS: four callbacks, flags, reserved
    args.writeBigUInt64LE(BigInt(CKF_OS_LOCKING_OK), 32);
    this.call('C_Initialize', [args], [CKR_CRYPTOKI_ALREADY_INITIALIZED]);
  }

  static #loaded = new Map<string, Pkcs11Module>();

  /** @throws {SysError} `sys.token`, `sys.unavailable` */
  static load(path: string): Pkcs11Module {
    const module = Pkcs11Module.#loaded.get(path) ?? new Pkcs11Module(path);
    Pkcs11Module.#loaded.set(path, module);
    return module;
  }

  /** @throws {SysError} `sys.token` for every return value other than CKR_OK and those in `alsoFine` */
  call(name: Pkcs11Function, args: readonly unknown[], alsoFine: readonly number[] = []): void {
    const result = Number(this.#calls[name](...args));
    if (result !== 0 && !alsoFine.includes(result)) throw this.#refused(name, result);
  }

  login(session: bigint, pin: Buffer): void {
    const CKU_USER = 1;
    this.call('C_Login', [session, CKU_USER, pin, pin.length], [CKR_USER_ALREADY_LOGGED_IN]);
  }

  /** @param limit of the answer */
  slots(limit = 256): bigint[] {
    const list = new BigUint64Array(limit);
    const count = new BigUint64Array([BigInt(limit)]);
    this.call('C_GetSlotList', [1, list, count]);
    return [...list.subarray(0, Number(count[0]))];
  }

  /** Handles of the objects with these attributes. */
  find(session: bigint, template: readonly Attribute[], limit = 16): bigint[] {
    this.#withTemplate(template, (at) => this.call('C_FindObjectsInit', [session, at, template.length]));
    const handles = new BigUint64Array(limit);
    const count = new BigUint64Array(1);
    try {
      this.call('C_FindObjects', [session, handles, limit, count]);
    } finally {
      this.call('C_FindObjectsFinal', [session]);
    }
    return [...handles.subarray(0, Number(count[0]))];
  }

  /** An attribute's value of at most 64 KiB. */
  attribute(session: bigint, object: bigint, type: number): Buffer {
    return this.#withTemplate([{ type, value: Buffer.alloc(65536) }], (at, memory) => {
      this.call('C_GetAttributeValue', [session, object, at, 1]);
      const length = memory.readBigUInt64LE(16);
      if (length === UNAVAILABLE || length > 65536n) throw this.#refused('C_GetAttributeValue', 18);
      return Buffer.from(memory.subarray(24, 24 + Number(length)));
    });
  }

  /** Lays CK_ATTRIBUTE {type, pValue, ulValueLen} and the values out in memory that does not move during the call. */
  #withTemplate<T>(template: readonly Attribute[], use: (at: unknown, memory: Buffer) => T): T {
    const head = template.length * 24;
    const size = template.reduce((sum, { value }) => sum + value.length, head);
    const at: unknown = this.#koffi.alloc('uint8_t', size);
    const memory = Buffer.from(this.#koffi.view(at, size));
    const base = this.#koffi.address(at);
    try {
      let offset = head;
      for (const [index, { type, value }] of template.entries()) {
        memory.writeBigUInt64LE(BigInt(type), index * 24);
        memory.writeBigUInt64LE(base + BigInt(offset), index * 24 + 8);
        memory.writeBigUInt64LE(BigInt(value.length), index * 24 + 16);
        memory.set(value, offset);
        offset += value.length;
      }
      return use(at, memory);
    } finally {
      this.#koffi.free(at);
    }
  }

  #refused(name: Pkcs11Function, result: number): SysError {
    const why = CKR[result] ?? `CKR 0x${result.toString(16)}`;
    const advice = why.startsWith('CKR_PIN') ? 'give the token’s user PIN (pin-source or pin-value)' : undefined;
    return new SysError('sys.token', `PKCS#11 module ${this.path}: ${name}: ${why}`, {
      errno: why,
      ...(advice === undefined ? {} : { advice }),
    });
  }
}

function functionsOf(koffi: typeof Koffi, path: string): Record<Pkcs11Function, Call> {
  const pointers = functionList(koffi, path);
  const bind = (name: Pkcs11Function): Call => {
    const [place, parameters] = FUNCTIONS[name];
    return koffi.decode(pointers[place], koffi.proto('unsigned long', [...parameters]));
  };
  return {
    C_Initialize: bind('C_Initialize'),
    C_GetSlotList: bind('C_GetSlotList'),
    C_GetTokenInfo: bind('C_GetTokenInfo'),
    C_OpenSession: bind('C_OpenSession'),
    C_CloseSession: bind('C_CloseSession'),
    C_Login: bind('C_Login'),
    C_GetAttributeValue: bind('C_GetAttributeValue'),
    C_FindObjectsInit: bind('C_FindObjectsInit'),
    C_FindObjects: bind('C_FindObjects'),
    C_FindObjectsFinal: bind('C_FindObjectsFinal'),
    C_DecryptInit: bind('C_DecryptInit'),
    C_Decrypt: bind('C_Decrypt'),
    C_SignInit: bind('C_SignInit'),
    C_Sign: bind('C_Sign'),
  };
}

/** CK_FUNCTION_LIST: a version of 2 bytes, padded to 8, then the pointers in the order of pkcs11f.h. */
function functionList(koffi: typeof Koffi, path: string): unknown[] {
  const list: unknown[] = [null];
  try {
    const result: unknown = koffi.load(path).func('unsigned long C_GetFunctionList(_Out_ void **list)')(list);
    if (Number(result) !== 0) throw new Error(`C_GetFunctionList returned ${String(result)}`);
  } catch (cause) {
    throw new SysError('sys.token', `${path} is no PKCS#11 module that loads here`, {
      advice: 'name the module with module-path in the URI or in PKCS11_MODULE_PATH',
      cause,
    });
  }
  return koffi.decode(list[0], 8, 'void *', 44);
}
