/** Which component of a boot an event measures, and what can be said of it. */
import type { DecodedEvent } from '../decode/decoded-event.ts';
import type { Signature } from '../decode/signature-list.ts';
import { isLaunchPcr } from '../drtm/names.ts';
import { isFromQemu, isKernelImage } from '../story.ts';
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
      return byPcr(event, '');
  }
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

function byPcr({ pcr, typeName }: DecodedEvent, text: string): Component {
  return { code: BY_PCR[pcr] ?? 'boot.other-changed', key: `PCR ${pcr} ${typeName}`, text: text || typeName };
}

function variableComponent(event: DecodedEvent): Component {
  const { pcr, payload } = event;
  if (payload.kind !== 'variable') return byPcr(event, '');
  const { name, value } = payload;
  const key = `variable ${name}`;
  if (value?.kind === 'authority') {
    return { code: 'boot.authority-changed', key: 'authority', text: signatureText(value.signature) };
  }
  if (pcr === 14 || /^Mok/.test(name)) return { code: 'boot.mok-changed', key, text: name };
  if (pcr === 1 && value?.kind === 'boot-order') {
    return { code: 'boot.boot-order-changed', key, text: value.entries.join(', ') };
  }
  if (pcr === 1 && value?.kind === 'load-option') {
    return { code: 'boot.boot-option-changed', key: 'boot options', text: `${name} '${value.description}'` };
  }
  if (pcr !== 7) return byPcr(event, name);
  if (name === 'SecureBoot') {
    const isOn = value?.kind === 'boolean' && value.value;
    return { code: 'boot.secure-boot-switched', key, text: isOn ? 'on' : 'off' };
  }
  if (name === 'dbx') return { code: 'boot.dbx-updated', key, text: 'dbx' };
  if (['PK', 'KEK', 'db'].includes(name)) return { code: 'boot.secure-boot-keys-changed', key, text: name };
  return { code: name === 'SbatLevel' ? 'boot.dbx-updated' : 'boot.other-changed', key, text: name };
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
  if (payload.kind !== 'image-load') return byPcr(event, '');
  const { text, file } = payload.devicePath;
  const name = file ?? (text === '' ? 'out of memory' : text);
  if (pcr !== 4) return byPcr(event, name);
  if (UNIFIED_IMAGE.test(name)) return { code: 'boot.uki-changed', key: 'unified kernel image', text: name };
  if (isFromQemu(payload)) return { code: 'boot.kernel-changed', key: FROM_QEMU, text: name };
  return isKernelImage(payload)
    ? { code: 'boot.kernel-changed', key: 'kernel image', text: name }
    : { code: 'boot.application-changed', key: 'boot applications', text: name };
}

function iplComponent(event: DecodedEvent): Component {
  const { pcr, payload } = event;
  if (payload.kind !== 'ipl') return byPcr(event, '');
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
  if (payload.kind !== 'tagged') return byPcr(event, '');
  if (payload.id === INITRD) return { code: 'boot.initrd-changed', key: 'initrd of the stub', text: 'initrd' };
  if (payload.id === LOAD_OPTIONS) {
    return { code: 'boot.command-line-changed', key: 'load options', text: 'load options' };
  }
  return byPcr(event, payload.name ?? '');
}

function actionComponent(event: DecodedEvent): Component | undefined {
  const { payload } = event;
  if (payload.kind !== 'action') return byPcr(event, '');
  if (payload.action === 'debugger') return { code: 'boot.debugger', key: 'debugger', text: payload.text };
  if (/^exit-boot-services/.test(payload.action)) {
    return { code: 'boot.exit-boot-services-missing', key: `action ${payload.action}`, text: payload.text };
  }
  return byPcr(event, payload.text);
}
