/** Images that the firmware or shim will not start: a boot that does not happen is not predicted. */
import { ByteReader, toHex } from '../../bytes/index.ts';
import { readSignatureLists } from '../decode/signature-list.ts';
import { authenticodeDigest } from '../pe/index.ts';
import { type BootFile, notPredictable } from './measurement.ts';
import { namedSection, naming, parseNamed } from './named-image.ts';
import { imageSigners } from './secure-boot.ts';

export interface Revocations {
  /** EFI_SIGNATURE_LISTs of the firmware. */
  readonly dbx?: Uint8Array;
  /** Of shim and the machine's owner. */
  readonly mokListX?: Uint8Array;
  /** shim's level of SBAT, as CSV; undefined where it is not known. */
  readonly sbat?: Uint8Array | undefined;
}

const ADVICE = 'such a boot does not happen: take another image, or give the lists that the machine will have';

/**
 * By its SHA-256 digest, by the certificate that signed it, or by its generation (UEFI 2.10, 32.5.3.3; shim: SBAT.md). Not
 * looked at: digests of other algorithms, and of certificates.
 * @throws {BootError} `boot.not-predictable` for an image that is revoked, or lists that cannot be read
 */
export function refuseRevoked(file: BootFile, { dbx, mokListX, sbat }: Revocations): void {
  for (const [name, lists] of Object.entries({ dbx, MokListX: mokListX })) {
    if (lists === undefined || lists.length === 0) continue;
    if (isListed(file, name, lists)) throw notPredictable(`${file.name}: is revoked by ${name}`, ADVICE);
  }
  const outdated = sbat === undefined ? undefined : outdatedComponent(file, sbat);
  if (outdated !== undefined) throw notPredictable(`${file.name}: SBAT revokes its ${outdated}`, ADVICE);
}

function isListed(file: BootFile, name: string, lists: Uint8Array): boolean {
  const image = parseNamed(file);
  const digest = toHex(naming(file, () => authenticodeDigest(image, 'sha256')));
  const signers = new Set(naming(file, () => imageSigners(image)).map(({ raw }) => toHex(raw)));
  const read = naming({ name }, () => readSignatureLists(new ByteReader(lists)));
  return read.some(({ type, signatures }) =>
    signatures.some(({ content }) => {
      if (content.kind === 'hash') return type === 'sha256' && content.value === digest;
      return content.kind === 'x509' && signers.has(toHex(content.der));
    }),
  );
}

/** `grub,4,…` in the image, `grub,5` in the level: refused. Images without the section are not shim's to judge so. */
function outdatedComponent(file: BootFile, level: Uint8Array): string | undefined {
  const section = namedSection(file, parseNamed(file), '.sbat');
  if (section === undefined) return undefined;
  const least = generations(level);
  const own = generations(section);
  return [...own].find(([component, generation]) => generation < (least.get(component) ?? 0))?.join(' generation ');
}

function generations(csv: Uint8Array): ReadonlyMap<string, number> {
  const lines = Buffer.from(csv).toString('latin1').split('\0', 1)[0]?.split('\n') ?? [];
  return new Map(
    lines.flatMap((line) => {
      const [component = '', generation = ''] = line.trim().split(',');
      return /^\d{1,9}$/.test(generation) ? [[component, Number(generation)] as const] : [];
    }),
  );
}
