/**
 * The messages' encodings and bounds. Every bound is far above what real machines send and far below what would hurt:
 * a firmware log has some 100 kB, a list of a million measurements some 120 MB.
 */
import { digestInfo } from '../bytes/index.ts';
import type {
  ActivationRequest,
  EnrolmentAnswer,
  EnrolmentChallenge,
  EnrolmentRequest,
  EvidenceAnswer,
  ReportedFinding,
} from './protocol.ts';
import {
  byKind,
  byNumber,
  bytes,
  count,
  decodeShape,
  encodeShape,
  exactly,
  list,
  object,
  oneOf,
  optional,
  orNull,
  type Shape,
  text,
  truth,
} from './shape.ts';
import type {
  BootLogEvidence,
  Challenge,
  Evidence,
  GrowingLogEvidence,
  Observation,
  PcrBank,
  PcrSelection,
  PcrValues,
  Quote,
} from './types.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bounds of what an attester sends, in bytes. */
export const EVIDENCE_LIMITS = {
  /** A whole piece of evidence. */
  evidence: 288 * MIB,
  /** Every other message. */
  message: 256 * KIB,
  bootLog: 8 * MIB,
  imaLog: 256 * MIB,
  userspaceLog: 8 * MIB,
} as const;

/** TPM2B maximum of any TPM in the field, generously: TPMS_ATTEST and signatures of RSA 4096 are below 1.2 kB. */
const TPM_STRUCTURE = 4 * KIB;
const MAX_PCR = 23;
const PATH_MAX = 4 * KIB;

const bank = oneOf<PcrBank>('sha1', 'sha256', 'sha384', 'sha512', 'sm3');
const measurer = oneOf('kernel', 'user-space');
const structure = bytes({ min: 1, max: TPM_STRUCTURE });
/** Servers give 32 bytes; a verifier who asks by hand may take another size, as far as TPM2B_DATA goes. */
const nonce = exactly(32);
const qualifyingData = bytes({ min: 1, max: 64 });

const pcrsOf = (name: PcrBank) => optional(byNumber(exactly(digestInfo(name).size), MAX_PCR));

const pcrValues: Shape<PcrValues> = object<PcrValues>({
  sha1: pcrsOf('sha1'),
  sha256: pcrsOf('sha256'),
  sha384: pcrsOf('sha384'),
  sha512: pcrsOf('sha512'),
  sm3: pcrsOf('sm3'),
});

const selection: Shape<PcrSelection> = object<PcrSelection>({ bank, pcrs: list(count(MAX_PCR), MAX_PCR + 1) });

const challenge: Shape<Challenge> = object<Challenge>({
  nonce,
  selection,
  imaOffset: count(),
  bootLog: oneOf('bytes', 'digest'),
  userspaceLogOffset: count(),
  issuedAt: count(),
  expiresAt: count(),
});

const quote: Shape<Quote> = object<Quote>({ message: structure, signature: structure, pcrs: pcrValues });

const bootLog: Shape<BootLogEvidence> = byKind<BootLogEvidence>({
  absent: object({ reason: text(KIB) }),
  digest: object({ sha256: exactly(32) }),
  bytes: object({ bytes: bytes({ max: EVIDENCE_LIMITS.bootLog }) }),
});

const growingLog = (max: number): Shape<GrowingLogEvidence> =>
  byKind<GrowingLogEvidence>({
    absent: object({ reason: text(KIB) }),
    part: object({ offset: count(), bytes: bytes({ max }) }),
  });

const observation: Shape<Observation> = object<Observation>({
  path: text(PATH_MAX),
  digest: text(160),
  kind: oneOf('deleted', 'replaced'),
  processes: list(object<Observation['processes'][number]>({ pid: count(), command: text(PATH_MAX) }), 256),
});

const evidence: Shape<Evidence> = object<Evidence>({
  version: oneOf(1),
  nonce: qualifyingData,
  quote,
  measurer,
  bootLog,
  imaLog: growingLog(EVIDENCE_LIMITS.imaLog),
  userspaceLog: growingLog(EVIDENCE_LIMITS.userspaceLog),
  observations: list(observation, 4096),
});

const identifier = text(64);

const enrolmentRequest: Shape<EnrolmentRequest> = object<EnrolmentRequest>({
  version: oneOf(1),
  hostName: text(255),
  tpmKind: oneOf('device', 'swtpm', 'software'),
  measurer,
  ekCertificates: list(bytes({ min: 1, max: 8 * KIB }), 8),
  ekPublic: structure,
  akPublic: structure,
  bank,
  availableBanks: list(bank, 8),
});

const enrolmentChallenge: Shape<EnrolmentChallenge> = object<EnrolmentChallenge>({
  enrolmentId: identifier,
  credentialBlob: structure,
  secret: structure,
});

const activationRequest: Shape<ActivationRequest> = object<ActivationRequest>({
  enrolmentId: identifier,
  credential: bytes({ max: 64 }),
});

const enrolmentAnswer: Shape<EnrolmentAnswer> = object<EnrolmentAnswer>({
  hostId: identifier,
  token: text(512),
  challenge,
});

const MAX_INTERVAL_MS = 7 * 86_400_000;

/** Findings that an answer carries at most. */
export const MAX_REPORTED_FINDINGS = 100;

const reportedFinding: Shape<ReportedFinding> = object<ReportedFinding>({
  code: text(64),
  subject: text(PATH_MAX),
  message: text(3 * PATH_MAX),
});

const evidenceAnswer: Shape<EvidenceAnswer> = object<EvidenceAnswer>({
  verdict: orNull(oneOf('trusted', 'warning', 'untrusted', 'unknown')),
  findings: list(reportedFinding, MAX_REPORTED_FINDINGS),
  measured: count(),
  next: challenge,
  retry: truth(),
  intervalMs: count(MAX_INTERVAL_MS),
});

/** A message's encoding. `decode` takes the first byte to the last. @throws {EvidenceError} from `decode` */
export interface MessageCodec<T> {
  /** Bytes that `decode` accepts at most; a receiver stops reading there. */
  readonly maxBytes: number;
  readonly encode: (value: T) => Uint8Array;
  readonly decode: (input: Uint8Array) => T;
}

function codec<T>(what: string, shape: Shape<T>, maxBytes: number): MessageCodec<T> {
  return {
    maxBytes,
    encode: (value) => encodeShape(shape, value),
    decode: (input) => decodeShape(shape, input, what, maxBytes),
  };
}

export const EvidenceCodec = codec('evidence', evidence, EVIDENCE_LIMITS.evidence);
export const ChallengeCodec = codec('challenge', challenge, EVIDENCE_LIMITS.message);
export const EnrolmentRequestCodec = codec('enrolment request', enrolmentRequest, EVIDENCE_LIMITS.message);
export const EnrolmentChallengeCodec = codec('enrolment challenge', enrolmentChallenge, EVIDENCE_LIMITS.message);
export const ActivationRequestCodec = codec('activation request', activationRequest, EVIDENCE_LIMITS.message);
export const EnrolmentAnswerCodec = codec('enrolment answer', enrolmentAnswer, EVIDENCE_LIMITS.message);
/** Larger than the others: a hundred findings with paths of 4 kB. */
export const EvidenceAnswerCodec = codec('evidence answer', evidenceAnswer, 8 * MIB);
