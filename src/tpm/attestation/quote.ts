/** Quote verification: what TPM2_Quote signed (Part 3, 18.4) against what was asked and what the attester says. */
import type { KeyObject } from 'node:crypto';
import { bytesEqual, type DigestAlgorithm, digest, digestInfo, toHex } from '../../bytes/index.ts';
import { decode } from '../codec.ts';
import { TpmError, TpmParseError } from '../errors.ts';
import { type QuoteAttestation, TPMS_ATTEST, TPMT_SIGNATURE } from '../structures.ts';
import { verifySignature } from './signature.ts';

export type QuoteFailureCode =
  /** Message or signature is not a well-formed structure. */
  | 'quote.malformed'
  /** Not TPM_GENERATED: something other than a TPM's attestation was signed. */
  | 'quote.magic'
  /** An attestation of another kind (certify, time, …). */
  | 'quote.type'
  /** A signature scheme or digest that is not accepted. */
  | 'quote.algorithm'
  | 'quote.signature'
  /** The qualifying data is not the nonce that was asked. */
  | 'quote.nonce'
  /** Other PCRs than asked. */
  | 'quote.selection'
  /** Another bank than asked. */
  | 'quote.bank'
  /** The given PCR values do not hash to what was signed. */
  | 'quote.pcr-digest';

export interface QuoteFailure {
  readonly code: QuoteFailureCode;
  readonly detail: string;
  readonly expected?: string;
  readonly found?: string;
}

/** One bank's selected PCRs with their values; the order of the banks is the order of the quote's selection. */
export interface SelectedPcrs {
  readonly hash: DigestAlgorithm;
  readonly pcrs: readonly { readonly index: number; readonly value: Uint8Array }[];
}

export interface QuoteCheck {
  /** The attester's claims. */
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
  readonly pcrs: readonly SelectedPcrs[];
  /** What they are held against. */
  /** Undefined where no key is known: the signature is then only read. */
  readonly key: KeyObject | undefined;
  readonly qualification: Uint8Array;
  /** The selection that was asked for; left out: whatever `pcrs` holds, as tpm2_checkquote does. */
  readonly selection?: readonly { readonly hash: DigestAlgorithm; readonly pcrs: readonly number[] }[];
  /** SHA-1 signatures and PCR banks are refused unless this is set. */
  readonly acceptSha1?: boolean;
}

export interface QuoteCheckResult {
  /** Empty: the quote is the key's, fresh, of the PCRs asked, and the values are those that it covers. */
  readonly failures: readonly QuoteFailure[];
  /** What was signed; present only where the message parses as a quote. Trust it only without failures. */
  readonly attestation: QuoteAttestation | undefined;
}

/** Checks everything that can be checked, so that one answer names every part that fails. Never throws on evidence. */
export function checkQuote(input: QuoteCheck): QuoteCheckResult {
  const failures: QuoteFailure[] = [];
  const attestation = readAttestation(input.message, failures);
  checkSignature(input, failures);
  if (attestation !== undefined) checkAttestation(input, attestation, failures);
  return { failures, attestation };
}

function readAttestation(message: Uint8Array, failures: QuoteFailure[]): QuoteAttestation | undefined {
  try {
    const attestation = decode(TPMS_ATTEST, message);
    if (attestation.type === 'quote') return attestation;
    failures.push({
      code: 'quote.type',
      detail: 'the TPM attests something else than PCRs',
      expected: 'quote',
      found: attestation.type,
    });
  } catch (error) {
    failures.push(malformed(error, 'message'));
  }
  return undefined;
}

function malformed(error: unknown, part: string): QuoteFailure {
  if (error instanceof TpmParseError) {
    const code = error.path.at(-1) === 'magic' && error.code !== 'parse.truncated' ? 'quote.magic' : 'quote.malformed';
    return { code, detail: `${part}: ${error.message}` };
  }
  throw error;
}

function checkSignature(input: QuoteCheck, failures: QuoteFailure[]): void {
  try {
    const signature = decode(TPMT_SIGNATURE, input.signature);
    if ('hash' in signature && signature.hash === 'sha1' && input.acceptSha1 !== true) {
      failures.push({ code: 'quote.algorithm', detail: 'the quote is signed with SHA-1, which is not accepted' });
    }
    if (input.key !== undefined && !verifySignature(input.key, input.message, signature)) {
      failures.push({
        code: 'quote.signature',
        detail: 'the signature is not the attestation key’s over this message',
      });
    }
  } catch (error) {
    if (error instanceof TpmError && error.code === 'tpm.unsupported') {
      failures.push({ code: 'quote.algorithm', detail: error.message });
    } else if (error instanceof TpmError) {
      failures.push({ code: 'quote.signature', detail: error.message });
    } else {
      failures.push(malformed(error, 'signature'));
    }
  }
}

function checkAttestation(input: QuoteCheck, attestation: QuoteAttestation, failures: QuoteFailure[]): void {
  const { extraData, attested } = attestation;
  if (!bytesEqual(extraData, input.qualification)) {
    const expected = toHex(input.qualification);
    failures.push({
      code: 'quote.nonce',
      detail: 'the quote answers another challenge',
      expected,
      found: toHex(extraData),
    });
  }
  const given = input.pcrs.map(({ hash, pcrs }) => ({ hash, pcrs: pcrs.map(({ index }) => index) }));
  checkSelection(input.selection ?? given, attested.pcrSelect, failures);
  checkCoverage(given, attested.pcrSelect, failures);
  if (input.acceptSha1 !== true && attested.pcrSelect.some(({ hash, pcrs }) => hash === 'sha1' && pcrs.length > 0)) {
    failures.push({ code: 'quote.algorithm', detail: 'the quote covers the SHA-1 bank, which is not accepted' });
  }
  const pcrDigest = digestOfSelected(input, attested);
  if (!bytesEqual(pcrDigest, attested.pcrDigest)) {
    failures.push({
      code: 'quote.pcr-digest',
      detail: 'the PCR values are not those that the TPM signed',
      expected: toHex(attested.pcrDigest),
      found: toHex(pcrDigest),
    });
  }
}

type Selection = readonly { readonly hash: DigestAlgorithm; readonly pcrs: readonly number[] }[];

const nonEmpty = (selection: Selection): Selection => selection.filter(({ pcrs }) => pcrs.length > 0);
const showSelection = (selection: Selection): string =>
  nonEmpty(selection)
    .map(({ hash, pcrs }) => `${hash}:${pcrs.join(',')}`)
    .join('+') || 'none';

function checkSelection(asked: Selection, quoted: Selection, failures: QuoteFailure[]): void {
  const expected = showSelection(asked);
  const found = showSelection(quoted);
  if (expected === found) return;
  const banks = (selection: Selection): string =>
    nonEmpty(selection)
      .map(({ hash }) => hash)
      .join('+');
  const code = banks(asked) === banks(quoted) ? 'quote.selection' : 'quote.bank';
  const what = code === 'quote.bank' ? 'another PCR bank' : 'other PCRs';
  failures.push({ code, detail: `the quote covers ${what} than asked`, expected, found });
}

/** Values beside the quoted ones would look vouched for, and are not; PCRs without a value are said by the digest. */
function checkCoverage(given: Selection, quoted: Selection, failures: QuoteFailure[]): void {
  const isQuoted = (hash: DigestAlgorithm, pcr: number): boolean =>
    quoted.some((bank) => bank.hash === hash && bank.pcrs.includes(pcr));
  const beside = given.map(({ hash, pcrs }) => ({ hash, pcrs: pcrs.filter((pcr) => !isQuoted(hash, pcr)) }));
  const isRepeated = given.some(
    ({ hash, pcrs }, i) => new Set(pcrs).size < pcrs.length || given.findIndex((bank) => bank.hash === hash) !== i,
  );
  if (failures.some(({ code }) => code === 'quote.selection' || code === 'quote.bank')) return;
  if (isRepeated) failures.push({ code: 'quote.selection', detail: 'a PCR has more than one value' });
  if (nonEmpty(beside).length === 0) return;
  failures.push({
    code: 'quote.selection',
    detail: 'there are values of PCRs that the quote does not cover',
    expected: showSelection(quoted),
    found: showSelection(given),
  });
}

/**
 * The digest that TPM2_Quote signs: H(the selected PCRs' values, in the order of the selection, ascending), where H is
 * the hash of the signing scheme (Part 3, 18.4.1; Part 1, 17.5 for the order). A value that is missing, or not of its
 * bank's size, counts as empty: else the bytes of one PCR could be passed off as a part of its neighbour's.
 */
function digestOfSelected(input: QuoteCheck, attested: QuoteAttestation['attested']): Buffer {
  const values = attested.pcrSelect.flatMap(({ hash, pcrs }) =>
    pcrs.map((pcr) => pcrValue(input.pcrs, hash, pcr) ?? new Uint8Array(0)),
  );
  return digest(hashOfLength(attested.pcrDigest.length, input.signature), ...values);
}

function pcrValue(pcrs: readonly SelectedPcrs[], hash: DigestAlgorithm, index: number): Uint8Array | undefined {
  const value = pcrs.find((bank) => bank.hash === hash)?.pcrs.find((pcr) => pcr.index === index)?.value;
  return value?.length === digestInfo(hash).size ? value : undefined;
}

const BY_LENGTH: Readonly<Record<number, DigestAlgorithm>> = { 20: 'sha1', 32: 'sha256', 48: 'sha384', 64: 'sha512' };

/** The signing scheme's hash; where the signature cannot be read, the one that gives a digest of that length. */
function hashOfLength(length: number, signature: Uint8Array): DigestAlgorithm {
  try {
    const parsed = decode(TPMT_SIGNATURE, signature);
    if ('hash' in parsed) return parsed.hash;
  } catch {
    // Reported by checkSignature.
  }
  return BY_LENGTH[length] ?? 'sha256';
}
