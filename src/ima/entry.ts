import type { TemplateLayout } from './template.ts';

/**
 * Where one entry of a binary list lies: offsets into the buffer that was scanned, no copies. The scanner reuses one
 * object for every entry, so a caller that keeps a span copies the numbers that it wants.
 *
 * Kernel: security/integrity/ima/ima_fs.c:ima_measurements_show.
 */
export interface EntrySpan {
  /** First byte of the entry (its PCR number). */
  readonly start: number;
  /** One past the entry's last byte, and so past its template data. */
  readonly end: number;
  readonly pcr: number;
  /** The stored template digest is `templateDigestSize` bytes from here. */
  readonly digestStart: number;
  /** Template data: for every template but `ima`, u32 length + value of each field; its hash is the template digest. */
  readonly dataStart: number;
  readonly layout: TemplateLayout;
  /** The stored template digest is all zero: a ToMToU or open-writers violation; every bank was extended with 0xFF…. */
  readonly violation: boolean;
}

/** A digest that names its algorithm, as `d-ng` writes it. The name is the list's own and may be one that Assay cannot compute. */
export interface FileDigest {
  /** From `d-ngv2`: the file's content (`ima`) or its fs-verity descriptor (`verity`). */
  readonly kind: 'ima' | 'verity';
  /** Lower-case kernel name; '' where the list names none (violations). */
  readonly algorithm: string;
  readonly value: Uint8Array;
}

/** Template fields by meaning; a field that the template does not have is absent, one that is empty is present and empty. */
export interface TemplateFields {
  /** `d`, `d-ng`, `d-ngv2`. */
  readonly digest?: FileDigest;
  /** `n`, `n-ng`: see `decodePath` for bytes that are not UTF-8. May hold any byte but NUL: escape it at output. */
  readonly path?: string;
  /** `sig`: the value of security.ima (first byte 03 or 06), or a portable security.evm (05) where there is none. */
  readonly signature?: Uint8Array;
  /** `buf`: what was measured itself (a command line, a key, critical data). */
  readonly buffer?: Uint8Array;
  /** `d-modsig`: digest of the file without its appended signature. */
  readonly modsigDigest?: FileDigest;
  /** `modsig`: PKCS#7. */
  readonly modsig?: Uint8Array;
  /** `evmsig`: value of security.evm, portable form. */
  readonly evmSignature?: Uint8Array;
  readonly xattrNames?: readonly string[];
  readonly xattrLengths?: readonly number[];
  /** The values one after the other; `xattrLengths` cuts them. */
  readonly xattrValues?: Uint8Array;
  readonly iuid?: number;
  readonly igid?: number;
  readonly imode?: number;
}

/** One measurement, taken out of its list. */
export interface MeasurementEntry {
  /** Position in the list, from 0. */
  readonly index: number;
  /** Byte offset of the entry in a binary list, of its line in an ASCII one. */
  readonly offset: number;
  readonly pcr: number;
  /** As the list stores it; all zero for a violation. */
  readonly templateDigest: Uint8Array;
  /** `ima-ng`, or a custom format such as `d-ng|n-ng|sig`. */
  readonly template: string;
  readonly violation: boolean;
  /** Exactly the bytes whose hash is the template digest (for `ima`: 20 bytes ‖ the name padded with NUL to 256). */
  readonly templateData: Uint8Array;
  /** Undefined where the template's fields are not known: `templateData` is all there is. */
  readonly fields: TemplateFields | undefined;
}
