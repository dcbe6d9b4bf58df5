/**
 * What was measured into the PCRs of whose contents a boot's state tells. An event's type and words are measured by nothing:
 * whoever can write the log gives the digest of a boot loader the words of a font. So whatever was measured there is in one
 * of these lists, under its digest, or is said to be unexplained: nothing can be renamed out of sight.
 */
import { toHex } from '../bytes/index.ts';
import type { ChangeCode } from './compare/changes.ts';
import { componentOf } from './compare/component.ts';
import type { DecodedEvent } from './decode/decoded-event.ts';
import { EventType } from './event-types.ts';
import type { BootEvent } from './log.ts';

/** Something that was started or read: its digest is certain, its name a remark of the log's. */
export interface StartedFile {
  readonly pcr: number;
  /** Lower-case hex in the bank; of a PE file as Authenticode has it. */
  readonly digest: string;
  readonly name: string;
}

export interface ToldContents {
  /** Drivers and option ROMs: all of PCR 2 that is not told by its own words. */
  readonly drivers: readonly StartedFile[];
  /** Boot loaders and other applications but the kernel, in PCR 4. */
  readonly applications: readonly StartedFile[];
  readonly kernel: readonly StartedFile[];
  readonly initrd: readonly StartedFile[];
  /** Command lines that a digest vouches for. More than one: at most one of them started the kernel. */
  readonly commandLine: readonly string[];
  /** Digests of command lines whose words the log does not have. */
  readonly commandLineDigests: readonly StartedFile[];
  /** What GRUB ran, as the log has it: that a command line is not among them, only the log says. */
  readonly commands: readonly string[];
  /** What else was read: files of GRUB's, sections of unified images, shim's lists, credentials and extensions. */
  readonly files: readonly StartedFile[];
  /** What the log's type and words do not account for. */
  readonly unexplained: readonly DecodedEvent[];
}

/** An event that extended its PCR. */
export interface ExtendedEvent {
  readonly event: DecodedEvent;
  /** Lower-case hex in the bank. */
  readonly digest: string;
}

/** Digest and component of what is proven. */
interface Told extends ExtendedEvent {
  readonly code: ChangeCode | undefined;
  readonly text: string;
}

/** Code and what it was told: drivers, loaders, GRUB, kernel, sections and lines of unified images, extensions, shim's. */
const OF_CONTENTS: ReadonlySet<number> = new Set([2, 4, 8, 9, 11, 12, 13, 14]);

/** @param extended events that are believed, in the log's order */
export function toldContents(extended: readonly ExtendedEvent[]): ToldContents {
  const events = extended.map(tellOf);
  const coded = (code: ChangeCode): Told[] => events.filter((one) => one.code === code && !isSectionName(one.event));
  const lines = coded('boot.command-line-changed');
  const kernel = coded('boot.kernel-changed');
  const initrd = coded('boot.initrd-changed');
  const drivers = events.filter(({ event }) => event.pcr === 2 && event.vouched === 'no-payload-rule');
  const applications = [...coded('boot.application-changed'), ...coded('boot.uki-changed')]
    .filter(({ event }) => event.payload.kind === 'image-load')
    .sort((a, b) => a.event.index - b.event.index);
  const listed = new Set([...lines, ...kernel, ...initrd, ...drivers, ...applications]);
  const files = events.filter((one) => !listed.has(one) && isReadFile(one.event));
  for (const file of files) listed.add(file);
  return {
    drivers: drivers.map(startedFile),
    applications: applications.map(startedFile),
    kernel: kernel.map(startedFile),
    initrd: initrd.map(startedFile),
    commandLine: [...new Set(lines.filter(({ event }) => event.vouched === 'digest').map(({ text }) => text))],
    commandLineDigests: lines.filter(({ event }) => event.vouched !== 'digest').map(startedFile),
    commands: events.filter(({ event }) => isCommand(event)).map(({ text }) => text),
    files: files.map(startedFile),
    unexplained: events
      .filter((one) => OF_CONTENTS.has(one.event.pcr) && !listed.has(one) && !isItsOwn(one.event))
      .map(({ event }) => event),
  };
}

function tellOf({ event, digest }: ExtendedEvent): Told {
  const component = componentOf(event);
  return { event, digest, code: component?.code, text: component?.text ?? event.typeName };
}

const startedFile = ({ event, digest, text }: Told): StartedFile => ({ pcr: event.pcr, digest, name: text });

/** The payload itself was measured: all of it is in the log. */
const isItsOwn = ({ vouched }: DecodedEvent): boolean => vouched === 'digest';

/** The stub measures a section's name, and then its content. */
const isSectionName = ({ payload, vouched }: DecodedEvent): boolean =>
  payload.kind === 'ipl' && payload.role === 'stub-section' && vouched === 'digest';

const isCommand = ({ pcr, payload, vouched }: DecodedEvent): boolean =>
  pcr === 8 && vouched === 'digest' && payload.kind === 'ipl' && payload.role !== 'kernel-cmdline';

/** In the form of those that measure what they read there (GRUB, systemd-stub, shim). */
const isReadFile = ({ pcr, type, vouched }: DecodedEvent): boolean =>
  vouched === 'no-payload-rule' && READ_INTO.has(pcr) && (type === EventType.EV_IPL || type === EventType.EV_EVENT_TAG);

const READ_INTO: ReadonlySet<number> = new Set([9, 11, 12, 13, 14]);

/** What an event of a bank extended its PCR with; undefined where it has no digest of the bank. */
export function extendedEvent(event: DecodedEvent, raw: BootEvent, bank: string): ExtendedEvent | undefined {
  const digest = raw.digests.find(({ algorithm }) => algorithm === bank)?.value;
  return digest && { event, digest: toHex(digest) };
}
