/**
 * A host without a TPM, for tests and benchmarks of the service: keys of node:crypto in TPM structures. What it signs and
 * opens is what a TPM would; nothing is faked on the server's side.
 */
import {
  createDecipheriv,
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto';
import { digest } from '../../src/bytes/index.ts';
import {
  type Challenge,
  type EnrolmentChallenge,
  type EnrolmentRequest,
  type Evidence,
  EvidenceCodec,
} from '../../src/evidence/index.ts';
import {
  decode,
  EK_PROFILES,
  encode,
  endorsementKeyArea,
  KDFa,
  KDFe,
  objectName,
  TPM2B_DIGEST,
  TPMS_ATTEST,
  TPMS_ECC_POINT,
  TPMT_PUBLIC,
  TPMT_SIGNATURE,
  uniqueOf,
} from '../../src/tpm/index.ts';
import { certify, type TestAuthority } from './authority.ts';

export interface SimulatedHostOptions {
  readonly name: string;
  readonly authority: TestAuthority;
  readonly tpmKind?: EnrolmentRequest['tpmKind'];
  readonly measurer?: EnrolmentRequest['measurer'];
  /** When its EK's certificate begins and ends, ms; left out: around now. */
  readonly certificateDates?: readonly [number, number];
}

const ZERO = Buffer.alloc(32);
/** PCR 0–7 as some firmware left them. */
const FIRMWARE = Array.from({ length: 8 }, (_, index) => digest('sha256', Buffer.from(`firmware ${index}`)));
const DAY = 86_400_000;
/** In a TPMT_SIGNATURE of P-256: after scheme, hash and size; S follows R and its own size. */
const ECDSA_R = 6;
const ECDSA_S_AFTER_R = 34;

export class SimulatedHost {
  readonly name: string;
  readonly akArea: TPMT_PUBLIC;
  readonly ekArea: TPMT_PUBLIC;
  readonly ekCertificate: Buffer;
  readonly #options: SimulatedHostOptions;
  readonly #ek: { publicKey: KeyObject; privateKey: KeyObject };
  readonly #ak: { publicKey: KeyObject; privateKey: KeyObject };
  /** The list that it has, binary, and PCR 10 over it. */
  imaLog: Buffer = Buffer.alloc(0);
  pcr10: Buffer = ZERO;
  resetCount = 1;
  /** Bytes of the list that one piece of evidence carries at most. */
  partLimit = Number.POSITIVE_INFINITY;
  readonly #bornAt = Date.now() - 60_000;

  constructor(options: SimulatedHostOptions) {
    this.#options = options;
    this.name = options.name;
    this.#ek = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    this.#ak = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    this.ekArea = endorsementKeyArea(EK_PROFILES.p256, uniqueOf(this.#ek.publicKey).unique);
    this.akArea = akArea(this.#ak.publicKey);
    const [from, until] = options.certificateDates ?? [Date.now() - DAY, Date.now() + DAY];
    this.#beginList();
    this.ekCertificate = certify(options.authority, this.#ek.publicKey, { from, until });
  }

  /** The machine starts anew: nothing is measured yet but boot_aggregate. */
  reboot(): void {
    this.resetCount += 1;
    this.#beginList();
  }

  /** The kernel's first entry: PCR 0–9 in the digest's own bank (ima_crypto.c:ima_calc_boot_aggregate_tfm). */
  #beginList(): void {
    this.imaLog = Buffer.alloc(0);
    this.pcr10 = ZERO;
    this.#append('boot_aggregate', digest('sha256', ...FIRMWARE, ZERO, ZERO));
  }

  pcr(index: number): Buffer {
    return index === 10 ? this.pcr10 : (FIRMWARE[index] ?? ZERO);
  }

  get akPublic(): Uint8Array {
    return encode(TPMT_PUBLIC, this.akArea);
  }

  enrolment(overrides: Partial<EnrolmentRequest> = {}): EnrolmentRequest {
    return {
      version: 1,
      hostName: this.name,
      tpmKind: this.#options.tpmKind ?? 'device',
      measurer: this.#options.measurer ?? 'kernel',
      ekCertificates: [this.ekCertificate],
      ekPublic: encode(TPMT_PUBLIC, this.ekArea),
      akPublic: this.akPublic,
      bank: 'sha256',
      availableBanks: ['sha256'],
      ...overrides,
    };
  }

  /** TPM2_ActivateCredential (TPM 2.0 part 1, 24): what the credential holds for this EK and AK. */
  activate({ credentialBlob, secret }: EnrolmentChallenge): Buffer {
    const point = decode(TPMS_ECC_POINT, secret);
    const own = uniqueOf(this.#ek.publicKey).unique;
    if (own instanceof Uint8Array) throw new TypeError('an ECC key has a point');
    const z = diffieHellman({ privateKey: this.#ek.privateKey, publicKey: publicPoint(point) });
    const seed = KDFe('sha256', z, 'IDENTITY', point.x, own.x, 256);
    const key = KDFa('sha256', seed, 'STORAGE', objectName(this.akArea), new Uint8Array(), 128);
    const decipher = createDecipheriv('aes-128-cfb', key, Buffer.alloc(16));
    const encrypted = credentialBlob.subarray(2 + 32); // after the HMAC and its size
    const opened = Buffer.concat([decipher.update(encrypted), decipher.final()]);
    return Buffer.from(decode(TPM2B_DIGEST, opened));
  }

  /** Evidence for the challenge, as a well-behaved agent gives it. */
  evidence(challenge: Challenge): Evidence {
    const { bank, pcrs } = challenge.selection;
    const values = Object.fromEntries(pcrs.map((index) => [index, this.pcr(index)]));
    const { imaOffset: offset } = challenge;
    return {
      version: 1,
      nonce: challenge.nonce,
      quote: { ...this.quote(challenge.nonce, bank, pcrs), pcrs: { [bank]: values } },
      measurer: this.#options.measurer ?? 'kernel',
      bootLog: { kind: 'absent', reason: 'the simulated host has no firmware' },
      imaLog: { kind: 'part', offset, bytes: this.imaLog.subarray(offset, offset + this.partLimit) },
      userspaceLog: { kind: 'absent', reason: 'the simulated host has none' },
      observations: [],
    };
  }

  /**
   * {@link evidence} in bytes, for a host that is asked over and over and has nothing new: encoded once, then only nonce,
   * clock and signature are put in their places.
   */
  steadyEvidence(challenge: Challenge): (nonce: Uint8Array) => Buffer {
    const evidence = this.evidence(challenge);
    const { message, signature } = evidence.quote;
    const template = Buffer.from(EvidenceCodec.encode(evidence));
    const outer = template.indexOf(Buffer.from([0x58, 0x20, ...challenge.nonce])) + 2; // a byte string of 32 (RFC 8949, 3.1)
    const messageAt = template.indexOf(message);
    const nonceAt = messageAt + Buffer.from(message).indexOf(challenge.nonce);
    const clockAt = nonceAt + challenge.nonce.length;
    const rAt = template.indexOf(signature) + ECDSA_R;
    return (nonce) => {
      const bytes = Buffer.from(template);
      bytes.set(nonce, outer);
      bytes.set(nonce, nonceAt);
      bytes.writeBigUInt64BE(BigInt(Date.now() - this.#bornAt), clockAt);
      const raw = this.#sign(bytes.subarray(messageAt, messageAt + message.length));
      raw.copy(bytes, rAt, 0, 32);
      raw.copy(bytes, rAt + ECDSA_S_AFTER_R, 32);
      return bytes;
    };
  }

  #sign(message: Uint8Array): Buffer {
    return sign('sha256', message, { key: this.#ak.privateKey, dsaEncoding: 'ieee-p1363' });
  }

  quote(
    nonce: Uint8Array,
    hash: 'sha1' | 'sha256' | 'sha384' | 'sha512' | 'sm3',
    pcrs: readonly number[],
  ): { message: Uint8Array; signature: Uint8Array } {
    const covered = createHash('sha256');
    for (const index of pcrs) covered.update(this.pcr(index));
    const message = encode(TPMS_ATTEST, {
      type: 'quote',
      qualifiedSigner: objectName(this.akArea),
      extraData: nonce,
      clockInfo: { clock: BigInt(Date.now() - this.#bornAt), resetCount: this.resetCount, restartCount: 0, safe: true },
      firmwareVersion: 1n,
      attested: { pcrSelect: [{ hash, pcrs }], pcrDigest: covered.digest() },
    });
    const raw = this.#sign(message);
    const signature = encode(TPMT_SIGNATURE, {
      sigAlg: 'ecdsa',
      hash: 'sha256',
      signatureR: raw.subarray(0, 32),
      signatureS: raw.subarray(32),
    });
    return { message, signature };
  }

  /** Adds a measurement in template ima-ng and extends PCR 10. */
  measure(path: string, content: string): void {
    this.#append(path, digest('sha256', Buffer.from(content)));
  }

  /** {@link measure} for many files at once. */
  measureMany(files: Iterable<readonly [path: string, content: string]>): void {
    const entries = [this.imaLog];
    for (const [path, content] of files) entries.push(this.#entry(path, digest('sha256', Buffer.from(content))));
    this.imaLog = Buffer.concat(entries);
  }

  #append(path: string, hash: Buffer): void {
    this.imaLog = Buffer.concat([this.imaLog, this.#entry(path, hash)]);
  }

  /** Extends PCR 10 with it. */
  #entry(path: string, hash: Buffer): Buffer {
    const data = imaNg(path, hash);
    const name = Buffer.from('ima-ng');
    this.pcr10 = digest('sha256', this.pcr10, digest('sha256', data));
    return Buffer.concat([u32(10), digest('sha1', data), u32(name.length), name, u32(data.length), data]);
  }
}

function imaNg(path: string, hash: Buffer): Buffer {
  const field = (value: Buffer): Buffer => Buffer.concat([u32(value.length), value]);
  return Buffer.concat([field(Buffer.concat([Buffer.from('sha256:\0'), hash])), field(Buffer.from(`${path}\0`))]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function akArea(key: KeyObject): TPMT_PUBLIC {
  const { unique } = uniqueOf(key);
  if (unique instanceof Uint8Array) throw new TypeError('an ECC key has a point');
  return {
    type: 'ecc',
    nameAlg: 'sha256',
    objectAttributes: {
      fixedTPM: true,
      fixedParent: true,
      sensitiveDataOrigin: true,
      userWithAuth: true,
      restricted: true,
      sign: true,
    },
    authPolicy: new Uint8Array(),
    parameters: {
      symmetric: { algorithm: 'null' },
      scheme: { scheme: 'ecdsa', hashAlg: 'sha256' },
      curveID: 'p256',
      kdf: { scheme: 'null' },
    },
    unique,
  };
}

function publicPoint({ x, y }: { x: Uint8Array; y: Uint8Array }): KeyObject {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
  return createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: 'P-256', x: text(x), y: text(y) } });
}
