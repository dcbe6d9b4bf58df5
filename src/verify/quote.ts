/** The quote: is it the enrolled key's, fresh, and of the PCRs asked? */
import type { KeyObject } from 'node:crypto';
import { bytesEqual, toHex } from '../bytes/index.ts';
import type { PcrBank, Quote } from '../evidence/index.ts';
import {
  checkQuote,
  decode,
  publicKeyOf,
  type QuoteAttestation,
  type SelectedPcrs,
  TPMT_PUBLIC,
  TpmError,
  TpmParseError,
} from '../tpm/index.ts';
import { finding } from './sentence.ts';
import type { Enrolment, Finding, VerifyInput } from './types.ts';

/** What the TPM said: nothing else of the evidence is true by itself. */
export interface QuotedPcrs {
  readonly attestation: QuoteAttestation;
  readonly bank: PcrBank;
  /** PCR → value, of exactly the selected PCRs. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>;
}

export interface QuoteVerdict {
  readonly findings: readonly Finding[];
  /** Undefined unless every check passed (that of the signature is left out where no key is enrolled). */
  readonly quoted: QuotedPcrs | undefined;
}

const BANKS: readonly PcrBank[] = ['sha1', 'sha256', 'sha384', 'sha512', 'sm3'];

/** Checks the quote of evidence against enrolment and nonce; each failed check is a finding of its own. */
export function verifyQuote(input: VerifyInput): QuoteVerdict {
  const { evidence, enrolment, nonce } = input;
  const key = enrolment === undefined ? undefined : enrolledKey(enrolment);
  if (key?.failure !== undefined) return { findings: [key.failure], quoted: undefined };
  const pcrs = givenPcrs(evidence.quote);
  const { failures, attestation } = checkQuote({
    message: evidence.quote.message,
    signature: evidence.quote.signature,
    pcrs,
    key: key?.key,
    qualification: nonce,
    ...(enrolment === undefined
      ? {}
      : { selection: [{ hash: enrolment.selection.bank, pcrs: enrolment.selection.pcrs }] }),
  });
  const findings = failures.map(({ code, detail, expected, found }) =>
    finding(
      code,
      'quote',
      capitalised(code === 'quote.selection' ? (leftOut(enrolment, attestation) ?? detail) : detail),
      {
        ...(expected === undefined ? {} : { expected }),
        ...(found === undefined ? {} : { found }),
      },
    ),
  );
  if (!bytesEqual(evidence.nonce, nonce)) {
    const details = { expected: toHex(nonce), found: toHex(evidence.nonce) };
    findings.push(finding('quote.nonce', 'evidence', 'The evidence names another nonce than the challenge', details));
  }
  const [only] = pcrs;
  const bank = enrolment?.selection.bank ?? BANKS.find((name) => name === only?.hash);
  if (findings.length > 0 || attestation === undefined || bank === undefined) return { findings, quoted: undefined };
  const values = evidence.quote.pcrs[bank] ?? {};
  // From what was signed, never from what was sent: values beside the selection are refused, and would not count.
  const selected = attestation.attested.pcrSelect.flatMap((selection) =>
    selection.hash === bank ? selection.pcrs : [],
  );
  const signed = selected.flatMap((pcr) => {
    const value = values[pcr];
    return value === undefined ? [] : [[pcr, value] as const];
  });
  return { findings, quoted: { attestation, bank, pcrs: new Map(signed) } };
}

/** Names what a person looks for: a PCR that is not there. */
function leftOut(enrolment: Enrolment | undefined, attestation: QuoteAttestation | undefined): string | undefined {
  const quoted = attestation?.attested.pcrSelect.flatMap(({ pcrs }) => pcrs) ?? [];
  const missing = enrolment?.selection.pcrs.filter((pcr) => !quoted.includes(pcr)) ?? [];
  if (missing.length === 0) return undefined;
  return `the quote leaves out PCR ${missing.join(', ')}, which ${missing.length === 1 ? 'was' : 'were'} asked for`;
}

function givenPcrs({ pcrs }: Quote): SelectedPcrs[] {
  return BANKS.flatMap((hash) => {
    const values = Object.entries(pcrs[hash] ?? {});
    if (values.length === 0) return [];
    return [{ hash, pcrs: values.map(([index, value]) => ({ index: Number(index), value })) }];
  });
}

interface EnrolledKey {
  readonly key: KeyObject;
  readonly failure?: undefined;
}

/** Making a key object costs as much as a signature's check; the fleet's keys are made once. */
const KEYS = new Map<string, EnrolledKey>();
const MAX_KEYS = 16_384;

function enrolledKey({ akPublic }: Enrolment): EnrolledKey | { readonly key?: undefined; readonly failure: Finding } {
  const id = Buffer.from(akPublic.buffer, akPublic.byteOffset, akPublic.length).toString('latin1');
  const known = KEYS.get(id);
  if (known !== undefined) return known;
  try {
    const made = { key: publicKeyOf(decode(TPMT_PUBLIC, akPublic)) };
    if (KEYS.size >= MAX_KEYS) KEYS.clear();
    KEYS.set(id, made);
    return made;
  } catch (error) {
    if (!(error instanceof TpmError) && !(error instanceof TpmParseError)) throw error;
    return { failure: finding('ak.unusable', 'attestation key', `The enrolled key cannot be used: ${error.message}`) };
  }
}

function capitalised(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
