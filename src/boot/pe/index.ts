/** PE/COFF images: headers, sections, Authenticode. */
export { authenticodeDigest, imageSignatures } from './authenticode.ts';
export { findSection, type PeImage, type PeSection, parsePe, sectionBytes } from './image.ts';
