/** PKCS#11 URIs (RFC 7512). */
import { SysError } from './error.ts';

export interface Pkcs11Uri {
  /** What the token must say of itself. */
  readonly token: string | undefined;
  readonly manufacturer: string | undefined;
  readonly model: string | undefined;
  readonly serial: string | undefined;
  readonly slotId: number | undefined;
  /** Label and id of the key. */
  readonly object: string | undefined;
  readonly id: Buffer | undefined;
  readonly modulePath: string | undefined;
  readonly pinValue: string | undefined;
  /** A file whose first line is the PIN. */
  readonly pinSource: string | undefined;
}

/** Names a file of the module's maker; nothing that picks a token or a key. */
const IGNORED = new Set([
  'type',
  'library-manufacturer',
  'library-description',
  'library-version',
  'slot-description',
  'slot-manufacturer',
]);

/**
 * An attribute that is not known is refused: ignoring it could pick another key than was meant (RFC 7512, 2.3).
 * @throws {SysError} `sys.token`; the message holds no attribute's value, for one of them may be the PIN
 */
export function parsePkcs11Uri(uri: string): Pkcs11Uri {
  if (!uri.startsWith('pkcs11:')) throw malformed("a PKCS#11 URI begins with 'pkcs11:'");
  const [path = '', query = ''] = uri.slice('pkcs11:'.length).split('?', 2);
  const attributes = new Map([...pairs(path, ';'), ...pairs(query, '&')]);
  const text = (name: string): string | undefined => take(attributes, name)?.toString('utf8');
  const slotId = text('slot-id');
  if (slotId !== undefined && !/^\d{1,15}$/.test(slotId)) throw malformed('slot-id is no number');
  const parsed = {
    token: text('token'),
    manufacturer: text('manufacturer'),
    model: text('model'),
    serial: text('serial'),
    slotId: slotId === undefined ? undefined : Number(slotId),
    object: text('object'),
    id: take(attributes, 'id'),
    modulePath: text('module-path'),
    pinValue: text('pin-value'),
    pinSource: text('pin-source'),
  };
  for (const name of attributes.keys()) if (!IGNORED.has(name)) throw malformed(`attribute '${name}' is not known`);
  return parsed;
}

function malformed(detail: string): SysError {
  return new SysError('sys.token', `PKCS#11 URI: ${detail}`, {
    advice: "write it as 'pkcs11:token=NAME;object=LABEL?module-path=FILE&pin-source=FILE'",
  });
}

function take(attributes: Map<string, Buffer>, name: string): Buffer | undefined {
  const value = attributes.get(name);
  attributes.delete(name);
  return value;
}

function pairs(text: string, separator: string): [name: string, value: Buffer][] {
  const parts = text.split(separator).filter((part) => part !== '');
  const names = new Set<string>();
  return parts.map((part) => {
    const at = part.indexOf('=');
    if (at < 0) throw malformed('an attribute without a value');
    const name = part.slice(0, at);
    if (!/^[a-z0-9-]{1,40}$/i.test(name)) throw malformed('an attribute without a proper name');
    if (names.has(name)) throw malformed(`attribute '${name}' stands twice`);
    names.add(name);
    return [name, percentDecoded(part.slice(at + 1), name)];
  });
}

function percentDecoded(text: string, name: string): Buffer {
  if (/%(?![0-9a-f]{2})/i.test(text)) throw malformed(`the value of '${name}' has a % without two hex digits`);
  const latin1 = Buffer.from(text, 'utf8').toString('latin1');
  return Buffer.from(
    latin1.replaceAll(/%([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16))),
    'latin1',
  );
}
