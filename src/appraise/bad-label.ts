/** What a label that does not hold says and what was found instead, in words for people. The cause is the kernel's. */
import { type DigestAlgorithm, ParseError, toHex } from '../bytes/index.ts';
import { formatKeyId, type Keyring, parseSignature } from '../digsig/index.ts';
import type { EvmFault } from '../evm/index.ts';
import { IMA_TYPE, type ImaCause, type ImaFault } from '../ima/index.ts';
import { evmFaultText, faultText } from './fault-words.ts';

export interface FaultFound {
  readonly cause: ImaCause;
  readonly expected: string;
  readonly found: string;
  /** What the kernel does not tell apart. */
  readonly fault?: ImaFault | EvmFault;
}

export interface LabelJudged {
  readonly label: Uint8Array | undefined;
  readonly fault: ImaFault | EvmFault | undefined;
  /** The digest that the label was held against, where it came to that. */
  readonly measured: { readonly algorithm: DigestAlgorithm; readonly digest: Uint8Array } | undefined;
  readonly keyring: Keyring;
  readonly hasAppended: boolean;
}

export function describeFault(cause: ImaCause, judged: LabelJudged): FaultFound {
  const [expected, found] = wordsOf(cause, judged);
  const { fault } = judged;
  return { cause, expected, found, ...(fault === undefined ? {} : { fault }) };
}

const EVM_EXPECTED = 'security.evm that covers these attributes, owner and mode';

function wordsOf(cause: ImaCause, judged: LabelJudged): readonly [expected: string, found: string] {
  const { label, fault, measured } = judged;
  switch (cause) {
    case 'missing-hash':
      return ['a label', 'none'];
    case 'IMA-signature-required':
      return ['a signature', kindOf(label)];
    case 'verity-signature-required':
      return ['a signature of the digest that fs-verity gives', kindOf(label)];
    case 'no-verity-digest':
      return ['a file under fs-verity', 'one that is not'];
    case 'missing-HMAC':
      return [EVM_EXPECTED, 'none'];
    case 'invalid-HMAC':
    case 'invalid-fail-immutable':
      return [EVM_EXPECTED, fault === undefined ? 'one that does not' : evmFaultText(fault)];
    case 'invalid-hash':
      return hashWords(label, measured);
    case 'invalid-signature':
    case 'invalid-verity-signature':
      return [signatureExpected(judged), faultWords(judged)];
    case 'invalid-signature-version':
      return [label?.[0] === IMA_TYPE.signature ? 'a signature of format 1 or 2' : 'one of format 3', versionOf(label)];
    case 'unknown':
      return ['a signature of format 1 or 2', versionOf(label)];
    case 'unknown-ima-data':
      return ['a digest or a signature', `an attribute of type ${label?.[0]}`];
    case 'blacklisted-hash':
      return ['content that is not blacklisted', measuredText(measured) ?? 'a blacklisted hash'];
    case 'unverifiable-signature':
      return ['a file system that vouches for what it gives', 'another'];
  }
}

const versionOf = (label: Uint8Array | undefined): string => `format ${label?.[1]}`;

const measuredText = (measured: LabelJudged['measured']): string | undefined =>
  measured && `${measured.algorithm}:${toHex(measured.digest)}`;

function kindOf(label: Uint8Array | undefined): string {
  if (label === undefined || label.length === 0) return 'none';
  switch (label[0]) {
    case IMA_TYPE.signature:
      return 'a signature of the content';
    case IMA_TYPE.veritySignature:
      return 'a signature of what fs-verity gives';
    default:
      return 'a digest';
  }
}

function hashWords(label: Uint8Array | undefined, measured: LabelJudged['measured']): readonly [string, string] {
  const digest = toHex((label ?? new Uint8Array()).subarray(label?.[0] === IMA_TYPE.digest ? 2 : 1));
  const text = measuredText(measured);
  if (measured === undefined || text === undefined) return ['a known digest algorithm', digest];
  return [`${measured.algorithm}:${digest}`, text];
}

function signatureExpected({ label, measured, keyring, hasAppended }: LabelJudged): string {
  if (hasAppended && label?.[0] !== IMA_TYPE.signature) return 'an appended signature over this content';
  const over = measuredText(measured);
  return `a signature${signerOf(label, keyring)}${over === undefined ? '' : ` over ${over}`}`;
}

function signerOf(label: Uint8Array | undefined, keyring: Keyring): string {
  try {
    const { keyId } = parseSignature((label ?? new Uint8Array()).subarray(1), 1);
    const key = keyring.find(keyId);
    if (key !== undefined && key !== 'blacklisted') return ` by ${key.name}`;
    return ` by key ${typeof keyId === 'number' ? formatKeyId(keyId) : toHex(keyId)}`;
  } catch (error) {
    if (error instanceof ParseError) return '';
    throw error;
  }
}

function faultWords({ label, fault }: LabelJudged): string {
  const words = fault === undefined ? 'one that does not verify' : faultText(fault);
  const isVerity = label?.[0] === IMA_TYPE.veritySignature && fault === 'invalid-signature';
  return isVerity ? `${words} (what fs-verity gives is judged under a rule that asks for it)` : words;
}
