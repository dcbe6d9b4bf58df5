/** What a policy asks about an access, gathered for an open file and the thread that asks for it. */
import { formatUuid, NO_UUID, type PolicyAccess } from '../../ima/policy/index.ts';
import { type FileStatus, fgetXattr } from '../../sys/index.ts';
import { coverageOf, type PolicyCoverage } from '../coverage.ts';
import type { DeviceInfo, PolicyOrder } from '../messages.ts';
import type { GuardMode } from '../mode.ts';
import { type Place, Places } from './places.ts';
import { ACCESS, type AccessKind, type Plan, Plans } from './plans.ts';
import { labelParts, type Requesters } from './requester.ts';

const SELINUX = 'security.selinux';
const SETUID = 0o4000;

/** The policy in force, as the deciding thread has it. */
export class AccessRules {
  readonly mode: GuardMode;
  readonly coverage: PolicyCoverage;
  readonly plans: Plans;
  readonly #places: Places;
  readonly #requesters: Requesters;

  constructor({ rules, mode, failSecurely, trees }: PolicyOrder, requesters: Requesters) {
    this.mode = mode;
    this.coverage = coverageOf(rules);
    this.plans = new Plans(rules, { failSecurely, appraiseOff: mode === 'off' });
    this.#places = new Places(trees);
    this.#requesters = requesters;
  }

  /** True where the plan of a kind of access is the same whoever asks: it may be kept with the file. */
  get isSameForAll(): boolean {
    return !this.coverage.asksSubject;
  }

  /** @returns undefined for a thread that is gone, where the policy asks who it is */
  plan(kind: AccessKind, fd: number, status: FileStatus, device: DeviceInfo, id: number): Plan | undefined {
    const { asksSubject, asksLabels } = this.coverage;
    const who = asksSubject ? this.#requesters.credentials(id) : {};
    if (who === undefined) return undefined;
    const about: Omit<PolicyAccess, 'func' | 'mask'> = {
      ...who,
      owner: status.uid,
      group: status.gid,
      fsMagic: device.magic,
      ...(device.name === undefined ? {} : { fsName: device.name }),
      fsSubtype: device.subtype ?? '',
      fsUuid: device.uuid === undefined ? NO_UUID : formatUuid(device.uuid),
      ...(asksLabels ? { labels: this.#labels(fd, id) } : {}),
    };
    const isSetuid = kind === ACCESS.exec && (status.mode & SETUID) !== 0;
    return this.plans.plan(kind, about, isSetuid ? status.uid : undefined);
  }

  /** Where an access leads: asked where the file itself is appraised. */
  place({ appraises }: Plan, fd: number, status: FileStatus): Place | undefined {
    return appraises === 0 ? undefined : this.#places.of(fd, status);
  }

  #labels(fd: number, id: number): NonNullable<PolicyAccess['labels']> {
    const object = labelOfFile(fd);
    return { ...labelParts('obj', object), ...labelParts('subj', this.#requesters.label(id)) };
  }
}

function labelOfFile(fd: number): string | undefined {
  try {
    return fgetXattr(fd, SELINUX)?.toString('latin1').replace(/\0+$/, '');
  } catch {
    return undefined; // a file system without labels
  }
}
