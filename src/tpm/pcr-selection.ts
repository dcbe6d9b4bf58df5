/** PCR selections: TPM 2.0 Part 2, 10.6.1–2 and 10.9.7. Bit 0 of octet 0 is PCR 0. */
import type { ByteReader, ByteWriter } from '../bytes/index.ts';
import { type Codec, list, maximumOf, reject, type TypeOf, uint32 } from './codec.ts';
import { TPMI_ALG_HASH } from './constants.ts';
import { TpmError } from './errors.ts';
import { TPM_RC } from './response-codes.ts';

/** PCR_SELECT_MIN of the PC Client profile, which has 24 PCRs; and the most that handles 0–31 can need. */
const SELECT_MIN = 3;
const SELECT_MAX = 4;

export interface PcrSelect {
  /** Indices, ascending, without repetition. */
  readonly pcrs: readonly number[];
  /** Octets of the bit map. Left out where it is the usual 3, so that equal selections compare equal; preserved else. */
  readonly sizeofSelect?: number;
}

function readSelect(reader: ByteReader): PcrSelect {
  const start = reader.offset;
  const size = reader.u8('sizeofSelect');
  const most = maximumOf(reader, 'TPMS_PCR_SELECT', SELECT_MAX);
  if (size < SELECT_MIN || size > most) {
    reject(reader, 'parse.invalid', `sizeofSelect ${size} is not in ${SELECT_MIN}…${most}`, TPM_RC.VALUE, start);
  }
  const bits = reader.bytes(size, 'pcrSelect');
  const pcrs: number[] = [];
  for (let pcr = 0; pcr < size * 8; pcr++) {
    if ((((bits[pcr >> 3] ?? 0) >> (pcr & 7)) & 1) === 1) pcrs.push(pcr);
  }
  return size === SELECT_MIN ? { pcrs } : { pcrs, sizeofSelect: size };
}

function writeSelect(writer: ByteWriter, { pcrs, sizeofSelect = SELECT_MIN }: PcrSelect): void {
  if (!Number.isInteger(sizeofSelect) || sizeofSelect < SELECT_MIN || sizeofSelect > SELECT_MAX) {
    throw new TpmError('tpm.argument', `sizeofSelect ${sizeofSelect} is not in ${SELECT_MIN}…${SELECT_MAX}`);
  }
  const bits = new Uint8Array(sizeofSelect);
  for (const pcr of pcrs) {
    if (!Number.isInteger(pcr) || pcr < 0 || pcr >= sizeofSelect * 8) {
      throw new TpmError('tpm.argument', `PCR ${pcr} is not in 0…${sizeofSelect * 8 - 1}`);
    }
    bits[pcr >> 3] = (bits[pcr >> 3] ?? 0) | (1 << (pcr & 7));
  }
  writer.u8(sizeofSelect).bytes(bits);
}

/** `{ hash: 'sha256', pcrs: [0, 7, 10] }` */
export const TPMS_PCR_SELECTION: Codec<PcrSelect & { readonly hash: TPMI_ALG_HASH }> = {
  name: 'TPMS_PCR_SELECTION',
  shape: { kind: 'own' },
  read: (reader) => ({ hash: TPMI_ALG_HASH.read(reader), ...readSelect(reader) }),
  write(writer, value) {
    TPMI_ALG_HASH.write(writer, value.hash);
    writeSelect(writer, value);
  },
};
export type TPMS_PCR_SELECTION = TypeOf<typeof TPMS_PCR_SELECTION>;

export const TPML_PCR_SELECTION = list('TPML_PCR_SELECTION', TPMS_PCR_SELECTION, 16);
export type TPML_PCR_SELECTION = TypeOf<typeof TPML_PCR_SELECTION>;

/** Which PCRs have a property (Part 2, 10.8.3); `tag` is a TPM_PT_PCR. */
export const TPMS_TAGGED_PCR_SELECT: Codec<PcrSelect & { readonly tag: number }> = {
  name: 'TPMS_TAGGED_PCR_SELECT',
  shape: { kind: 'own' },
  read: (reader) => ({ tag: uint32.read(reader), ...readSelect(reader) }),
  write(writer, value) {
    uint32.write(writer, value.tag);
    writeSelect(writer, value);
  },
};
