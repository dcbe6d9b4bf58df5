/** Keys that a parent derives from its own, by label and context (Part 1, 28; Part 4, CryptRand.c: KDF_STATE). */
import type { DigestAlgorithm } from '../../bytes/index.ts';
import { KDFa, ProfiledReader, TPMS_DERIVE, type TPMT_PUBLIC } from '../../tpm/index.ts';
import type { ByteStream } from './key-generation.ts';
import { PROFILE } from './profile.ts';
import { refuse, unmarshal } from './refusal.ts';
import type { LoadedObject } from './state.ts';

/** TPM_MAX_DERIVATION_BITS: what KDFa is asked for, however little of it a key takes. */
const MAX_BITS = 8192;

/** One output of KDFa, from which a key takes its bytes in sequence. @throws {Refusal} `NO_RESULT` at its end */
function kdfStream(hashAlg: DigestAlgorithm, key: Uint8Array, label: string, context: Uint8Array): ByteStream {
  const stream = KDFa(hashAlg, key, label, context, new Uint8Array(0), MAX_BITS);
  let at = 0;
  return (size) => {
    if (at + size > stream.length) return refuse('NO_RESULT');
    at += size;
    return stream.subarray(at - size, at);
  };
}

/** Label and context come with the template, or with the sensitive data where the template has none. */
export function derivationStream(
  { publicArea, sensitive }: LoadedObject,
  template: TPMS_DERIVE,
  data: Uint8Array,
): ByteStream {
  const { scheme } = parentParameters(publicArea);
  if (scheme.scheme !== 'xor' || sensitive === undefined) return refuse('TYPE', 'parentHandle');
  const given = data.length === 0 ? template : readDerive(data);
  const label = template.label.length > 0 ? template.label : given.label;
  const context = template.context.length > 0 ? template.context : given.context;
  return kdfStream(scheme.hashAlg, sensitive.sensitive, withoutNul(label), context);
}

function parentParameters(area: TPMT_PUBLIC) {
  return area.type === 'keyedhash' ? area.parameters : refuse('TYPE', 'parentHandle');
}

/** No parameter of its own: the code comes without a number, as it does from the reference code. */
function readDerive(data: Uint8Array): TPMS_DERIVE {
  return unmarshal('derive', () => TPMS_DERIVE.read(new ProfiledReader(data, PROFILE)));
}

/** KDFa ends a label with a NUL where it has none (Part 1, 11.4.10.2). */
function withoutNul(label: Uint8Array): string {
  const text = Buffer.from(label).toString('latin1');
  return text.endsWith('\0') ? text.slice(0, -1) : text;
}
