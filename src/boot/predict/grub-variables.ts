/** GRUB's variables (grub-core/kern/env.c, grub-core/normal/context.c). */

/**
 * Names that GRUB's modules set by themselves, to values that are not known here: of the network, of the disk that it
 * came from, of signatures, of the clock.
 */
const OF_GRUB =
  /^((net|pxe|feature|grub|efi)_\w*|cmdpath|lockdown|shim_lock|check_signatures|debug|HOUR|MINUTE|SECOND|DAY|WEEKDAY|MONTH|YEAR)$/;
/** grub-core/normal/main.c: features[]. */
const FEATURES = [
  'chainloader_bpb',
  'ntldr',
  'platform_search_hint',
  'default_font_path',
  'all_video_module',
  'menuentry_id',
  'menuentry_options',
  '200_final',
  'nativedisk_cmd',
  'timeout_style',
];

interface Variable {
  readonly value: string;
  readonly isExported: boolean;
}

/** Contexts upon one another; a new one begins with what was exported. */
export class GrubVariables {
  readonly #contexts: Map<string, Variable>[] = [new Map()];

  constructor(root: string, prefix: string, isSecureBoot: boolean | undefined) {
    const known = {
      root,
      prefix,
      color_normal: 'light-gray/black',
      color_highlight: 'black/light-gray',
      grub_cpu: 'x86_64',
      grub_platform: 'efi',
      pager: '',
      lang: '',
      locale_dir: '',
      secondary_locale_dir: '',
      // grub-core/kern/lockdown.c, grub-core/kern/efi/sb.c:grub_shim_lock_verifier_setup
      ...(isSecureBoot === undefined ? {} : { lockdown: isSecureBoot ? 'y' : '', shim_lock: isSecureBoot ? 'y' : '' }),
      ...Object.fromEntries(FEATURES.map((feature) => [`feature_${feature}`, 'y'] as const)),
    };
    for (const [name, value] of Object.entries(known)) {
      this.set(name, value);
      this.export(name);
    }
  }

  /** Empty where no script has set it; undefined where GRUB itself may have. */
  get(name: string): string | undefined {
    return this.#now.get(name)?.value ?? (OF_GRUB.test(name) ? undefined : '');
  }

  set(name: string, value: string): void {
    this.#now.set(name, { value, isExported: this.#now.get(name)?.isExported ?? false });
  }

  unset(name: string): void {
    this.#now.delete(name);
  }

  export(name: string): void {
    this.#now.set(name, { value: this.#now.get(name)?.value ?? '', isExported: true });
  }

  /** As `configfile` and a submenu do. */
  open(): void {
    this.#contexts.push(new Map([...this.#now].filter(([, { isExported }]) => isExported)));
  }

  close(): void {
    if (this.#contexts.length > 1) this.#contexts.pop();
  }

  get #now(): Map<string, Variable> {
    return this.#contexts.at(-1) ?? new Map();
  }
}

const SIGNATURE = '# GRUB Environment Block\n';

/**
 * Lines `name=value` of grubenv, a backslash before what is meant literally; undefined where it is none.
 * Source: grub-core/lib/envblk.c, grub_envblk_iterate and find_next_line; a name goes on to the next `=`, over lines.
 */
export function parseEnvironmentBlock(
  bytes: Uint8Array,
): readonly (readonly [name: string, value: string])[] | undefined {
  const text = Buffer.from(bytes).toString('utf8');
  if (!text.startsWith(SIGNATURE)) return undefined;
  const found: [string, string][] = [];
  for (let at = SIGNATURE.length; at < text.length; at++) {
    if (text[at] === '#') {
      at = endOfLine(text, at);
      continue;
    }
    const equals = text.indexOf('=', at);
    const end = equals < 0 ? text.length : endOfLine(text, equals + 1);
    if (end >= text.length) break;
    found.push([text.slice(at, equals), text.slice(equals + 1, end).replace(/\\(.)/gs, '$1')]);
    at = end;
  }
  return found;
}

/** Of the newline that no backslash stands before; the text's end where there is none. */
function endOfLine(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== '\n') at += text[at] === '\\' ? 2 : 1;
  return at;
}
