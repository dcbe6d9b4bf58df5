/** What a boot loader or kernel says of itself: names for digests that logs show without a version. */
import {
  authenticodeDigest,
  type BootFile,
  findSection,
  imageSigners,
  type PeImage,
  parsePe,
  sectionBytes,
} from '../../boot/index.ts';
import { type DigestAlgorithm, ParseError, toHex, withoutFinalNuls } from '../../bytes/index.ts';

const BANKS: readonly DigestAlgorithm[] = ['sha1', 'sha256', 'sha384', 'sha512'];

/**
 * @param files PE images: shim, GRUB, systemd-boot, kernels, unified kernel images
 * @returns by Authenticode digest in hex, in each bank: `shim 15.8-1~deb12u1 (Debian), signed by Microsoft …`
 * @throws {ParseError} for a file that is no PE image, its name in front
 */
export function imageNames(files: readonly BootFile[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { name: path, bytes } of files) {
    const name = imageName({ name: path, bytes });
    for (const bank of BANKS) names.set(toHex(authenticodeDigest(bytes, bank)), name);
  }
  return names;
}

/** @returns the file's name where it says nothing of itself */
export function imageName({ name, bytes }: BootFile): string {
  const image = parsePe(bytes);
  const said = unifiedName(image) ?? linuxVersion(bytes) ?? sbatName(image) ?? name.split(/[\\/]/).at(-1) ?? name;
  const signers = [...new Set(signersOf(image))];
  return signers.length === 0 ? said : `${said}, signed by ${signers.join(' and ')}`;
}

/** A signature in a form that is not read leaves the image unnamed, not refused: it only names. */
function signersOf(image: PeImage): string[] {
  try {
    return imageSigners(image).map(({ subject }) => /^CN=(.+)$/m.exec(subject)?.[1] ?? subject.replaceAll('\n', ', '));
  } catch (error) {
    if (error instanceof ParseError) return [];
    throw error;
  }
}

function sectionText(image: PeImage, name: string): string | undefined {
  const section = findSection(image, name);
  return section === undefined
    ? undefined
    : withoutFinalNuls(Buffer.from(sectionBytes(image, section)).toString('utf8'));
}

/** A unified kernel image: the system that it brings, and its kernel. */
function unifiedName(image: PeImage): string | undefined {
  if (findSection(image, '.linux') === undefined) return undefined;
  const system = /^(?:PRETTY_NAME|ID)="?([^"\n]+)"?$/m.exec(sectionText(image, '.osrel') ?? '')?.[1];
  const section = findSection(image, '.linux');
  const kernel = section && linuxVersion(sectionBytes(image, section));
  const uname = sectionText(image, '.uname')?.trim();
  const parts = [system, uname === undefined || uname === '' ? kernel : `Linux ${uname}`];
  const told = parts.filter((part) => part !== undefined);
  return told.length === 0 ? 'unified kernel image' : `unified kernel image ${told.join(', ')}`;
}

const HEADER_MAGIC_AT = 0x202;
const VERSION_POINTER_AT = 0x20e;
const LONGEST_VERSION = 128;

/** Linux: Documentation/arch/x86/boot.rst, `kernel_version`: a pointer from 0x200 on to text whose first word is the release. */
function linuxVersion(image: Uint8Array): string | undefined {
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.length);
  if (bytes.length < 0x264 || bytes.toString('latin1', HEADER_MAGIC_AT, HEADER_MAGIC_AT + 4) !== 'HdrS')
    return undefined;
  const at = bytes.readUInt16LE(VERSION_POINTER_AT) + 0x200;
  const release = /^[\x21-\x7e]+/.exec(bytes.toString('latin1', at, at + LONGEST_VERSION))?.[0];
  return release === undefined ? undefined : `Linux ${release}`;
}

/** shim, SBAT.md: component, generation, vendor, package, version, URL; the distribution's own line is the last of them. */
function sbatName(image: PeImage): string | undefined {
  const lines = (sectionText(image, '.sbat') ?? '').split('\n').map((line) => line.split(','));
  const [, , vendor, component, version] = lines.findLast((line) => line.length >= 5 && line[0] !== 'sbat') ?? [];
  return component === undefined || version === undefined ? undefined : `${component} ${version} (${vendor})`;
}
