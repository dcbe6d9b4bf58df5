/** Why the software TPM answers a command with another code than swtpm, by the section of the specification (1.59). */
import { TPM_RC } from '../../src/tpm/index.ts';
import type { Finding } from './run.ts';

export interface Cause {
  readonly name: string;
  /** What says who is right. */
  readonly section: string;
  readonly why: string;
  readonly explains: (finding: Finding) => boolean;
}

/** A code without the number of a handle, parameter or session. */
function bare(rc: number): number {
  return (rc & 0x80) === 0 ? rc : rc & 0xbf;
}

/** The first byte of a persistent object's handle. */
const PERSISTENT = 0x81;

/** TPM_CAP_VENDOR_PROPERTY, which is none. */
const VENDOR_PROPERTY = Uint8Array.of(0, 0, 1, 0);

const PADDED: ReadonlySet<string> = new Set([
  'TPM2_RSA_Encrypt',
  'TPM2_RSA_Decrypt',
  'TPM2_Sign',
  'TPM2_VerifySignature',
]);
const SHARED: ReadonlySet<string> = new Set(['TPM2_MakeCredential', 'TPM2_Duplicate', 'TPM2_Rewrap']);

export const CAUSES: readonly Cause[] = [
  {
    name: 'tag',
    section: 'Part 3, 5.2',
    why: 'a tag that is none is TPM_RC_BAD_TAG; libtpms answers what its unmarshalling says, TPM_RC_VALUE',
    explains: ({ ours, theirs }) => ours === TPM_RC.BAD_TAG && theirs === TPM_RC.VALUE,
  },
  {
    name: 'padding',
    section: 'Part 3, 14.2 and 14.3; Part 1, B.4 and B.5',
    why: 'padding that is not right, or does not fit, is TPM_RC_VALUE, _SIZE or _HASH; libtpms answers TPM_RC_FAILURE for whatever OpenSSL refuses',
    explains: ({ name, theirs }) => theirs === TPM_RC.FAILURE && PADDED.has(name),
  },
  {
    name: 'secret',
    section: 'Part 1, B.10',
    why: 'a modulus too small for OAEP with the digest of the name algorithm is TPM_RC_HASH or _VALUE; libtpms answers TPM_RC_FAILURE',
    explains: ({ name, theirs }) => theirs === TPM_RC.FAILURE && SHARED.has(name),
  },
  {
    name: 'x509-handles',
    section: 'Part 3, 18.8',
    why: 'objectHandle is the first handle, signHandle the second; libtpms numbers them the other way round',
    explains: ({ name, ours, theirs }) => name === 'TPM2_CertifyX509' && bare(ours & 0xff) === bare(theirs & 0xff),
  },
  {
    name: 'x509-lengths',
    section: 'Part 3, 18.8 (ITU-T X.690, 10.1)',
    why: 'a certificate whose parts do not fill it is TPM_RC_VALUE; libtpms finds the extensions it asks for, and signs',
    explains: ({ name, ours, theirs }) =>
      name === 'TPM2_CertifyX509' && bare(ours & 0xff) === 0x84 && theirs === TPM_RC.SUCCESS,
  },
  {
    name: 'sequence-handle',
    section: 'Part 3, 17.7; Part 2, 6.6.3',
    why: 'sequenceHandle is a handle; libtpms numbers it as a parameter where it is no sequence',
    explains: ({ name, ours, theirs }) => name === 'TPM2_SequenceUpdate' && bare(ours) === bare(theirs),
  },
  {
    name: 'persistent-slot',
    section: 'Part 3, 5.4',
    why: 'a transient handle that nobody loaded is not there; libtpms finds in its slot the persistent object that the handle before it had loaded for this command',
    explains: ({ ours, sent }) => (ours & 0xff0) === TPM_RC.REFERENCE_H0 && sent[10] === PERSISTENT,
  },
  {
    name: 'vendor-capability',
    section: 'Part 2, 6.12',
    why: 'vendor properties are no capability of this TPM: TPM_RC_VALUE at once; libtpms reads the rest of the command first',
    explains: ({ name, ours, sent }) =>
      name === 'TPM2_GetCapability' && bare(ours & 0xff) === 0x84 && Buffer.from(sent).indexOf(VENDOR_PROPERTY) === 10,
  },
  {
    name: 'derived-child',
    section: 'Part 3, 12.8; Part 1, 28',
    why: 'a key that is derived is not wrapped, nor has its parent what to wrap with; libtpms takes the XOR scheme for a cipher',
    explains: ({ name, ours, theirs }) =>
      name === 'TPM2_ObjectChangeAuth' && bare(ours & 0xff) === 0x8a && theirs === TPM_RC.SUCCESS,
  },
  {
    name: 'clocks',
    section: 'Part 1, 36',
    why: 'each TPM has a clock of its own, and is asked at another moment',
    explains: ({ name, ours, theirs, structure }) =>
      (name === 'TPM2_PolicyCounterTimer' && (ours === TPM_RC.POLICY || theirs === TPM_RC.POLICY)) ||
      (name === 'TPM2_ClockSet' && (ours === TPM_RC.SUCCESS || theirs === TPM_RC.SUCCESS)) ||
      (name === 'TPM2_GetCapability' && structure.length > 0),
  },
  {
    name: 'refused-startup',
    section: 'Part 1, 19.8.7 (daUsed)',
    why: 'power that went during a guess counts as a wrong one; in libtpms a TPM2_Startup that is refused takes that back',
    explains: ({ ours, theirs }) =>
      theirs === TPM_RC.RETRY
        ? ours === TPM_RC.LOCKOUT || ours === TPM_RC.SUCCESS
        : ours === TPM_RC.LOCKOUT && (theirs & 0xff) === 0x8e,
  },
  {
    name: 'own-bytes',
    section: 'Part 1, 19.6 and 11.4.3',
    why: 'nonces, HMACs and Names are each TPM’s own: a damaged size reads some of them as something else',
    explains: ({ isMutated, isSame }) => isMutated && !isSame,
  },
];

/** Findings by their cause; `undefined` for those that nothing explains. */
export function byCause(findings: readonly Finding[]): ReadonlyMap<Cause | undefined, readonly Finding[]> {
  return Map.groupBy(findings, (finding) => CAUSES.find(({ explains }) => explains(finding)));
}
