/** Which component of a boot an event measures, and what can be said of it. */
import type { DecodedEvent } from '../decode/decoded-event.ts';
import type { Signature, SignatureList } from '../decode/signature-list.ts';
import { isLaunchPcr } from '../drtm/names.ts';
import { EventType } from '../event-types.ts';
import { isFromQemu, isKernelImage, sentence } from '../story.ts';
import type { ChangeCode } from './changes.ts';

export interface Component {
  /** What it means where the component differs. */
  readonly code: ChangeCode;
  /** Events with one key are compared with each other, in their order. */
  readonly key: string;
  /** What was measured, for people; a mere remark where the digest does not vouch for it. */
  readonly text: string;
}

/** Undefined for events that say nothing of a component: separators, remarks, the log's own; and for a launch's. */
export function componentOf(event: DecodedEvent): Component | undefined {
  const { pcr, payload } = event;
  if (pcr > 23 || isLaunchPcr(pcr) || payload.kind === 'separator') return undefined;
  switch (payload.kind) {
    case 'variable':
      return variableComponent(event);
    case 'image-load':
      return imageComponent(event);
    case 'gpt':
      return { code: 'boot.partition-table-changed', key: 'gpt', text: `disk ${payload.diskGuid}` };
    case 'ipl':
      return iplComponent(event);
    case 'tagged':
      return taggedComponent(event);
    case 'action':
      return actionComponent(event);
    default:
      return byPcr(event);
  }
}

/** What it means where an event is another one, and what it measured: its digest tells equal remarks apart. */
export function changeOf(
  event: DecodedEvent,
  digest: string,
): { readonly code: ChangeCode | undefined; readonly text: string } {
  const { code, text } = componentOf(event) ?? { code: undefined, text: sentence(event) };
  return { code, text: event.vouched === 'digest' ? text : `${text} (${digest.slice(0, 16)}…)` };
}

const BY_PCR: Readonly<Record<number, ChangeCode>> = {
  0: 'boot.firmware-changed',
  1: 'boot.firmware-configuration-changed',
  2: 'boot.option-rom-changed',
  3: 'boot.option-rom-configuration-changed',
  4: 'boot.application-changed',
  6: 'boot.firmware-configuration-changed',
  14: 'boot.mok-changed',
};

function byPcr(event: DecodedEvent, text = sentence(event)): Component {
  const { pcr, typeName } = event;
  return { code: BY_PCR[pcr] ?? 'boot.other-changed', key: `PCR ${pcr} ${typeName}`, text };
}

/** Which variable it is says its name; what it holds, only a payload that was measured. */
function variableComponent(event: DecodedEvent): Component {
  const { pcr, type, payload, vouched } = event;
  if (payload.kind !== 'variable') return byPcr(event);
  const { name } = payload;
  const value = vouched === 'digest' ? payload.value : undefined;
  const key = `variable ${name}`;
  if (name === 'SbatLevel') {
    return { code: 'boot.dbx-updated', key, text: value?.kind === 'sbat-level' ? `SBAT level ${value.date}` : name };
  }
  if (type === EventType.EV_EFI_VARIABLE_AUTHORITY && payload.value?.kind !== 'boolean') {
    const text = value?.kind === 'authority' ? signatureText(value.signature) : `an authority of ${name}`;
    return { code: 'boot.authority-changed', key: AUTHORITY_KEY, text };
  }
  if (pcr === 14 || /^Mok/.test(name)) return { code: 'boot.mok-changed', key, text: name };
  if (pcr === 1 && payload.value?.kind === 'boot-order') {
    const text = value?.kind === 'boot-order' ? value.entries.join(', ') : name;
    return { code: 'boot.boot-order-changed', key, text };
  }
  if (pcr === 1 && payload.value?.kind === 'load-option') {
    const text = value?.kind === 'load-option' ? `${name} '${value.description}'` : name;
    return { code: 'boot.boot-option-changed', key: 'boot options', text };
  }
  if (pcr !== 7) return byPcr(event, name);
  if (name === 'SecureBoot') {
    const text = value?.kind === 'boolean' ? (value.value ? 'on' : 'off') : name;
    return { code: 'boot.secure-boot-switched', key, text };
  }
  const held = value?.kind === 'signature-lists' ? heldText(name, value.lists) : name;
  if (name === 'dbx') return { code: 'boot.dbx-updated', key, text: held };
  if (['PK', 'KEK', 'db'].includes(name)) return { code: 'boot.secure-boot-keys-changed', key, text: held };
  return { code: 'boot.other-changed', key, text: name };
}

/** Events that say which certificate or hash accepted what was started. */
export const AUTHORITY_KEY = 'authority';

const MAX_NAMED = 4;

/** The certificates by name; hashes are many. */
function heldText(name: string, lists: readonly SignatureList[]): string {
  const all = lists.flatMap(({ signatures }) => signatures);
  const named = all
    .filter(({ content }) => content.kind === 'x509')
    .slice(0, MAX_NAMED)
    .map(signatureText);
  const more = all.length - named.length;
  const parts = [...named, ...(more === 0 ? [] : [`${more} ${named.length === 0 ? '' : 'more '}keys or hashes`])];
  return `${name}: ${parts.join('; ')}`;
}

export function signatureText({ content }: Signature): string {
  if (content.kind === 'x509') return content.subject;
  return content.kind === 'hash' ? content.value : `${content.data.length} bytes`;
}

/** Its own key: what QEMU hands over depends on the initrd, too. */
export const FROM_QEMU = 'kernel from QEMU';

/** Where the Boot Loader Specification has type 2 entries. */
const UNIFIED_IMAGE = /^\\EFI\\Linux\\[^\\]*\.efi$/i;

function imageComponent(event: DecodedEvent): Component {
  const { pcr, payload } = event;
  if (payload.kind !== 'image-load') return byPcr(event);
  const { text, file } = payload.devicePath;
  const name = file ?? (text === '' ? 'an image in memory' : text);
  if (pcr !== 4) return byPcr(event, name);
  if (UNIFIED_IMAGE.test(name)) return { code: 'boot.uki-changed', key: 'unified kernel image', text: name };
  if (isFromQemu(payload)) return { code: 'boot.kernel-changed', key: FROM_QEMU, text: name };
  return isKernelImage(payload)
    ? { code: 'boot.kernel-changed', key: 'kernel image', text: name }
    : { code: 'boot.application-changed', key: 'boot applications', text: name };
}

function iplComponent(event: DecodedEvent): Component {
  const { pcr, payload } = event;
  if (payload.kind !== 'ipl') return byPcr(event);
  const { role, text } = payload;
  if (role === 'kernel-cmdline' || pcr === 12) return { code: 'boot.command-line-changed', key: 'command line', text };
  if (role === 'stub-section') return sectionComponent(text);
  if (pcr === 8) return { code: 'boot.grub-commands-changed', key: 'GRUB commands', text };
  if (pcr === 9) return grubFile(text);
  if (pcr === 14) return { code: 'boot.mok-changed', key: `MOK ${text}`, text };
  return byPcr(event, text);
}

function sectionComponent(name: string): Component {
  const code = SECTIONS[name] ?? 'boot.uki-section-changed';
  return { code, key: `section ${name}`, text: `section ${name}` };
}

const SECTIONS: Readonly<Record<string, ChangeCode>> = {
  '.linux': 'boot.kernel-changed',
  '.initrd': 'boot.initrd-changed',
  '.cmdline': 'boot.command-line-changed',
};

/** By the path, which nothing vouches for: the digest is over the file's content. */
function grubFile(path: string): Component {
  const code = /vmlinu|bzImage/i.test(path)
    ? 'boot.kernel-changed'
    : /initr/i.test(path)
      ? 'boot.initrd-changed'
      : 'boot.grub-file-changed';
  return { code, key: code === 'boot.grub-file-changed' ? 'GRUB files' : `GRUB ${code}`, text: path };
}

/** Linux, drivers/firmware/efi/libstub/efistub.h: INITRD_EVENT_TAG_ID and LOAD_OPTIONS_EVENT_TAG_ID. */
const INITRD = 0x8f3b22ec;
const LOAD_OPTIONS = 0x8f3b22ed;

function taggedComponent(event: DecodedEvent): Component {
  const { payload } = event;
  if (payload.kind !== 'tagged') return byPcr(event);
  if (payload.id === INITRD) return { code: 'boot.initrd-changed', key: 'initrd of the stub', text: 'initrd' };
  if (payload.id === LOAD_OPTIONS) {
    return { code: 'boot.command-line-changed', key: 'load options', text: 'load options' };
  }
  return byPcr(event);
}

function actionComponent(event: DecodedEvent): Component | undefined {
  const { payload } = event;
  if (payload.kind !== 'action') return byPcr(event);
  if (payload.action === 'debugger') return { code: 'boot.debugger', key: 'debugger', text: payload.text };
  if (/^exit-boot-services/.test(payload.action)) {
    return { code: 'boot.exit-boot-services-missing', key: `action ${payload.action}`, text: payload.text };
  }
  return byPcr(event, payload.text);
}
