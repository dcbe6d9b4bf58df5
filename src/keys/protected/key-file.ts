/** A protected key as a file: JSON, every value checked. */
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { encodeEncryptedKey, parseEncryptedKey } from '../encrypted-key.ts';
import { KeyError } from '../error.ts';
import { encodePolicyFile, parsePolicyFile } from '../policy-file.ts';
import { encodeTrustedBlob, parseTrustedKey } from '../trusted/blob.ts';
import { ARGON2_LIMITS } from './password.ts';
import type { ProtectedKey, Protector } from './protected-key.ts';

const Strict = { additionalProperties: false } as const;
const slot = {
  id: Type.String({ pattern: '^[a-z]{3,8}-[0-9a-f]{8}$' }),
  wrapped: Type.String({ maxLength: 16384 }),
  fingerprint: Type.String({ pattern: '^[0-9a-f]{64}$' }),
};
const Hex = Type.String({ pattern: '^(?:[0-9a-f]{2})+$', maxLength: 8192 });
const Kdf = Type.Object(
  {
    name: Type.Literal('argon2id'),
    salt: Type.String({ pattern: '^[0-9a-f]{16,64}$' }),
    passes: Type.Integer({ minimum: 1, maximum: ARGON2_LIMITS.passes }),
    memory: Type.Integer({ minimum: 8 * ARGON2_LIMITS.lanes, maximum: ARGON2_LIMITS.memory }),
    lanes: Type.Integer({ minimum: 1, maximum: ARGON2_LIMITS.lanes }),
  },
  Strict,
);
const FileProtector = Type.Union([
  Type.Object({ ...slot, kind: Type.Literal('password'), kdf: Kdf }, Strict),
  Type.Object({ ...slot, kind: Type.Literal('recovery') }, Strict),
  Type.Object(
    {
      ...slot,
      kind: Type.Literal('usb'),
      fileSystem: Type.String({ pattern: '^[0-9A-Za-z-]{4,64}$' }),
      path: Type.String({ pattern: '^[^\\u0000-\\u001f]{1,1024}$' }),
    },
    Strict,
  ),
  Type.Object(
    { ...slot, kind: Type.Literal('token'), uri: Type.String({ pattern: '^pkcs11:[!-~]{1,2048}$' }), encrypted: Hex },
    Strict,
  ),
  Type.Object({ ...slot, kind: Type.Literal('tpm'), blob: Hex, policy: Type.Optional(Type.Unknown()) }, Strict),
]);
const KeyFile = Type.Object(
  {
    assayProtectedKey: Type.Literal(1),
    bytes: Type.Integer({ minimum: 20, maximum: 4096 }),
    protectors: Type.Array(FileProtector, { minItems: 1, maxItems: 16 }),
  },
  Strict,
);
type FileProtector = Type.Static<typeof FileProtector>;

const MAX_FILE = 1024 * 1024;

/** Whether a file's text is meant to be a protected key. */
export const looksProtected = (text: string): boolean => /^\s*\{\s*"assayProtectedKey"/.test(text);

/** @throws {KeyError} `key.malformed` */
export function parseProtectedKey(text: string): ProtectedKey {
  const value = text.length > MAX_FILE ? undefined : jsonOf(text);
  if (!Value.Check(KeyFile, value)) {
    const paths = value === undefined ? [] : Value.Errors(KeyFile, value).map(({ instancePath }) => instancePath);
    const [deepest = ''] = paths.toSorted((a, b) => b.length - a.length);
    throw malformed(deepest === '' ? 'it has another form' : `${deepest} is not as it must be`);
  }
  const protectors = value.protectors.map(protectorOf);
  for (const { id, wrapped } of protectors) {
    if (wrapped.size !== value.bytes) throw malformed(`protector ${id} holds a key of another size`);
  }
  if (new Set(protectors.map(({ id }) => id)).size < protectors.length) throw malformed('two protectors have one name');
  return { size: value.bytes, protectors };
}

function protectorOf(file: FileProtector): Protector {
  const slot = { id: file.id, wrapped: parseEncryptedKey(file.wrapped), fingerprint: file.fingerprint };
  switch (file.kind) {
    case 'password': {
      const { name: _, ...kdf } = file.kdf;
      return { ...slot, kind: file.kind, kdf };
    }
    case 'recovery':
      return { ...slot, kind: file.kind };
    case 'usb':
      return { ...slot, kind: file.kind, fileSystem: file.fileSystem, path: file.path };
    case 'token':
      return { ...slot, kind: file.kind, uri: file.uri, encrypted: Buffer.from(file.encrypted, 'hex') };
    case 'tpm': {
      const policy = file.policy === undefined ? undefined : parsePolicyFile(JSON.stringify(file.policy))[0];
      return { ...slot, kind: file.kind, blob: parseTrustedKey(file.blob), policy };
    }
  }
}

export function encodeProtectedKey(key: ProtectedKey): string {
  const file = { assayProtectedKey: 1, bytes: key.size, protectors: key.protectors.map(fileProtectorOf) };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

function fileProtectorOf(protector: Protector): FileProtector {
  const { id, fingerprint } = protector;
  const common = { id, wrapped: encodeEncryptedKey(protector.wrapped), fingerprint };
  switch (protector.kind) {
    case 'password':
      return { ...common, kind: 'password', kdf: { name: 'argon2id', ...protector.kdf } };
    case 'recovery':
      return { ...common, kind: 'recovery' };
    case 'usb':
      return { ...common, kind: 'usb', fileSystem: protector.fileSystem, path: protector.path };
    case 'token':
      return {
        ...common,
        kind: 'token',
        uri: protector.uri,
        encrypted: Buffer.from(protector.encrypted).toString('hex'),
      };
    case 'tpm': {
      const { blob, policy } = protector;
      const hex = encodeTrustedBlob(blob).toString('hex');
      const described = policy === undefined ? {} : { policy: jsonOf(encodePolicyFile([policy])) };
      return { ...common, kind: 'tpm', blob: hex, ...described };
    }
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function malformed(what: string): KeyError {
  return new KeyError('key.malformed', `this is no protected key: ${what}`);
}
