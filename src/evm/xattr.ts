/** The value of `security.evm` (kernel: `security/integrity/integrity.h`, enum evm_ima_xattr_type). */
import { ByteReader, ParseError } from '../bytes/index.ts';
import { parseSignature, type SignatureHeader } from '../digsig/index.ts';

export const EVM_XATTR = 'security.evm';

export const EVM_TYPE = { hmac: 0x02, signature: 0x03, portable: 0x05 } as const;

const HMAC_SIZE = 20;

export type EvmLabel =
  /** HMAC-SHA1, which the kernel keeps up to date. */
  | { readonly kind: 'hmac'; readonly hmac: Uint8Array }
  /** 03 is turned into an HMAC when the kernel may write; 05, portable, makes the file immutable. */
  | { readonly kind: 'signature'; readonly portable: boolean; readonly header: SignatureHeader };

/** @throws {ParseError} for other types, sizes that do not agree, and bytes left over */
export function parseEvmXattr(bytes: Uint8Array): EvmLabel {
  const reader = new ByteReader(bytes);
  const type = reader.u8('security.evm type');
  switch (type) {
    case EVM_TYPE.hmac: {
      const hmac = reader.bytes(HMAC_SIZE, 'security.evm HMAC');
      reader.end('security.evm');
      return { kind: 'hmac', hmac };
    }
    case EVM_TYPE.signature:
    case EVM_TYPE.portable: {
      const header = parseSignature(reader.rest(), 1);
      return { kind: 'signature', portable: type === EVM_TYPE.portable, header };
    }
    default:
      throw new ParseError('parse.unknown-value', 'security.evm type', 0, `${type} is not known`);
  }
}

/** @param hmac 20 bytes, of `evmHmac` */
export function encodeEvmHmac(hmac: Uint8Array): Buffer {
  if (hmac.length !== HMAC_SIZE) throw new RangeError(`an HMAC of ${hmac.length} bytes`);
  return Buffer.concat([Buffer.of(EVM_TYPE.hmac), hmac]);
}

/** @param signature what `encodeSignature` or `signDigest` of digsig gives */
export function encodeEvmSignature(signature: Uint8Array, { portable }: { readonly portable: boolean }): Buffer {
  return Buffer.concat([Buffer.of(portable ? EVM_TYPE.portable : EVM_TYPE.signature), signature]);
}
