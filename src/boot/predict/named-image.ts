/** PE images by the name of their file: whatever is wrong with one is said with it. */
import { ParseError } from '../../bytes/index.ts';
import { findSection, type PeImage, parsePe, sectionBytes } from '../pe/index.ts';
import { type BootFile, notPredictable } from './measurement.ts';

/** The headers of a named file. @throws {BootError} `boot.not-predictable`, naming the file where it is no image */
export const parseNamed = (file: BootFile): PeImage => naming(file, () => parsePe(file.bytes));

/**
 * A section's bytes as they lie in memory; undefined where there is none of that name.
 * @throws {BootError} `boot.not-predictable`, naming the file: two of the name, or one that is too large
 */
export function namedSection(file: BootFile, image: PeImage, name: string): Uint8Array | undefined {
  return naming(file, () => {
    const section = findSection(image, name);
    return section === undefined ? undefined : sectionBytes(image, section);
  });
}

/** Runs what takes a file apart; what it cannot read is said by the file's name. */
export function naming<T>({ name }: Pick<BootFile, 'name'>, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw notPredictable(`${name}: ${error.message}`);
  }
}
