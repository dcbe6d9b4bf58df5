/** The fields that a template may have (kernel: security/integrity/ima/ima_template.c:supported_fields). */
export const TEMPLATE_FIELD_IDS = [
  'd',
  'n',
  'd-ng',
  'd-ngv2',
  'n-ng',
  'sig',
  'buf',
  'd-modsig',
  'modsig',
  'evmsig',
  'xattrnames',
  'xattrlengths',
  'xattrvalues',
  'iuid',
  'igid',
  'imode',
] as const;

export type TemplateFieldId = (typeof TEMPLATE_FIELD_IDS)[number];

/** Kernel: ima_template.c:builtin_templates. */
export const BUILTIN_TEMPLATES: ReadonlyMap<string, string> = new Map([
  ['ima', 'd|n'],
  ['ima-ng', 'd-ng|n-ng'],
  ['ima-sig', 'd-ng|n-ng|sig'],
  ['ima-ngv2', 'd-ngv2|n-ng'],
  ['ima-sigv2', 'd-ngv2|n-ng|sig'],
  ['ima-buf', 'd-ng|n-ng|buf'],
  ['ima-modsig', 'd-ng|n-ng|sig|d-modsig|modsig'],
  ['evm-sig', 'd-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode'],
]);

/** Kernel: ima_template_lib.h / ima_template.c, TEMPLATE_NUM_FIELDS_MAX. */
const MAX_FIELDS = 15;

/** What a template name says about the bytes that follow it. */
export interface TemplateLayout {
  readonly name: string;
  /** The name as it stands in a binary list. */
  readonly nameBytes: Uint8Array;
  /** Undefined for a name that is neither built in nor a format: its data is one opaque block. */
  readonly fields: readonly TemplateFieldId[] | undefined;
  /** The most bytes that each of those fields may have. */
  readonly fieldLimits: readonly number[];
  /** The oldest template, without field lengths, hashed over a fixed 276 bytes. */
  readonly legacy: boolean;
}

/** Kernel: linux/limits.h PATH_MAX, and room for the names of what is no file (a keyring, an event). */
const MAX_NAME = 4096 + 256;
/** `verity:`, an algorithm and 64 bytes of digest are some 90. */
const MAX_DIGEST = 256;
/** Kernel: linux/limits.h XATTR_LIST_MAX. */
const MAX_XATTR_NAMES = 65_536;

/**
 * The most bytes of a field. The host writes the list: what is decoded into text, digests and numbers is bounded by what
 * the kernel can write. Signatures and what was measured itself have the bound of the template data alone.
 */
export function fieldLimit(id: TemplateFieldId): number {
  switch (id) {
    case 'd':
    case 'd-ng':
    case 'd-ngv2':
    case 'd-modsig':
      return MAX_DIGEST;
    case 'n':
    case 'n-ng':
      return MAX_NAME;
    case 'xattrnames':
    case 'xattrlengths':
      return MAX_XATTR_NAMES;
    default:
      return Number.POSITIVE_INFINITY;
  }
}

const FIELD_IDS: ReadonlySet<string> = new Set(TEMPLATE_FIELD_IDS);

function isFieldId(id: string): id is TemplateFieldId {
  return FIELD_IDS.has(id);
}

function fieldsOf(format: string): readonly TemplateFieldId[] | undefined {
  const ids = format.split('|');
  return ids.length <= MAX_FIELDS && ids.every(isFieldId) ? ids : undefined;
}

/**
 * Layout of a template by the name in its list: a built-in one, or a custom format, which the kernel writes in place of
 * a name (ima_fs.c: `template_name = (name[0] != '\0') ? name : fmt`). Any other name has no known fields.
 *
 * The name `d|n` is not the `ima` template: the kernel decides by name alone which one has no field lengths.
 */
export function templateLayout(name: string): TemplateLayout {
  const fields = fieldsOf(BUILTIN_TEMPLATES.get(name) ?? name);
  return {
    name,
    nameBytes: Buffer.from(name, 'latin1'),
    fields,
    fieldLimits: (fields ?? []).map(fieldLimit),
    legacy: name === 'ima',
  };
}
