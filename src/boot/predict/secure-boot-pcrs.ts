/** PCRs 7 and 14 of the next boot: the base log's variables or those that replace them, and who will accept what is started. */
import { bytesEqual, withoutFinalNuls } from '../../bytes/index.ts';
import { EventType } from '../event-types.ts';
import type { BootEvent, BootLog } from '../log.ts';
import { digestMatchesPayload } from '../payload.ts';
import { isExtended, logBanks } from '../replay.ts';
import { checkVariableForm } from './appended-variable.ts';
import { kept, measuredVariable, nameOf, variableName } from './base-log.ts';
import { type BootFile, type Measurement, measurementDigest, notPredictable } from './measurement.ts';
import { refuseRevoked } from './revocation.ts';
import {
  firmwareAuthorities,
  MOK_PCR,
  SECURE_BOOT_PCR,
  sbatDate,
  shimAuthorities,
  shimSbatLevel,
  variableData,
} from './secure-boot.ts';
import type { BootModel } from './ways.ts';

/** Variables that will be others, by name: their data. */
export type NewVariables = Readonly<Record<string, Uint8Array>>;

/** Undefined where neither a log nor the variable is given. @throws {BootError} as `measuredVariable` */
export function secureBootState(base: BootLog | undefined, variables: NewVariables): boolean | undefined {
  const data = variables.SecureBoot ?? (base && measuredVariable(base, 'SecureBoot'));
  return base === undefined && data === undefined ? undefined : data?.[0] === 1;
}

export const isSecureBoot = (base: BootLog, variables: NewVariables): boolean =>
  secureBootState(base, variables) === true;

/**
 * @throws {BootError} `boot.not-predictable` for a variable that is not in its form, or in no PCR: it would change nothing, in
 *   silence
 */
export function checkVariables(base: BootLog | undefined, variables: NewVariables): void {
  for (const [name, data] of Object.entries(variables)) {
    checkVariableForm(name, data);
    if (base === undefined && name === 'SecureBoot') continue;
    if (base === undefined)
      throw notPredictable(`variable ${name} changes PCR ${SECURE_BOOT_PCR}, which needs a log of the same machine`);
    const isMeasured = base.events.some(
      (event) =>
        event.pcr === SECURE_BOOT_PCR &&
        event.type === EventType.EV_EFI_VARIABLE_DRIVER_CONFIG &&
        variableName(event.data) === name,
    );
    if (isMeasured) continue;
    throw notPredictable(
      `the base log measures no variable ${name} into PCR ${SECURE_BOOT_PCR}`,
      'write its name as the firmware does: SecureBoot, PK, KEK, db, dbx',
    );
  }
}

export function secureBoot(model: BootModel, base: BootLog, variables: NewVariables): Measurement[] {
  const events = eventsOf(base, SECURE_BOOT_PCR);
  const isOn = isSecureBoot(base, variables);
  const wasOn = isSecureBoot(base, {});
  if (isOn !== wasOn) assumeSwitch(model, variables);
  const authorityAt = events.findIndex(({ type }) => type === EventType.EV_EFI_VARIABLE_AUTHORITY);
  const firmware = (authorityAt < 0 ? events : events.slice(0, authorityAt)).map((event) => replaced(event, variables));
  const authorities = authorityAt < 0 ? [] : events.slice(authorityAt);
  const foreign = authorities.find(({ type }) => type !== EventType.EV_EFI_VARIABLE_AUTHORITY);
  if (foreign !== undefined) kept(foreign, true);
  const level = authorities
    .filter(({ data }) => variableName(data) === SBAT_LEVEL)
    .map((event) => sbatLevel(event, model, base));
  if (!isOn && wasOn) return firmware;
  if (!isOn) {
    const other = authorities.find(({ data }) => variableName(data) !== SBAT_LEVEL);
    if (other !== undefined) kept(other, true);
    return [...firmware, ...level.map(({ measurement }) => measurement)];
  }
  if (model.shim !== undefined) assumeNoOwnerKeys(model, base);
  const db = variables.db ?? measuredVariable(base, 'db') ?? noSuchVariable('db');
  const dbx = variables.dbx ?? measuredVariable(base, 'dbx') ?? noSuchVariable('dbx');
  const by = (who: 'firmware' | 'shim'): BootFile[] =>
    model.images.filter((image) => image.by === who).map(({ file }) => file);
  for (const image of by('firmware')) refuseRevoked(image, { dbx });
  const sbat = level[0]?.text;
  if (model.shim !== undefined)
    for (const image of by('shim')) refuseRevoked(image, { dbx, mokListX: deniedBy(model.shim), sbat });
  const [first] = model.images;
  if (model.shim !== undefined && first !== undefined) refuseRevoked(first.file, { sbat });
  const ofShim = model.shim === undefined ? [] : shimAuthorities(by('shim'), db, model.shim.lists, model.shim.owner);
  const ofLevel = level.map(({ measurement }) => measurement);
  return [...firmware, ...firmwareAuthorities(by('firmware'), db), ...ofLevel, ...ofShim];
}

const eventsOf = (base: BootLog, pcr: number): BootEvent[] =>
  base.events.filter((event) => event.pcr === pcr && isExtended(event));

function noSuchVariable(name: string): never {
  throw notPredictable(`the base log has no variable ${name}`, 'give its data');
}

const deniedBy = ({ lists, owner }: NonNullable<BootModel['shim']>): Uint8Array =>
  Buffer.concat([lists.denied, owner.mokListX]);

const KEYS = ['SecureBoot', 'PK', 'KEK', 'db'];

/** What else changes with Secure Boot has to be known; shim measures SbatLevel then, which no file has. */
function assumeSwitch(model: BootModel, variables: NewVariables): void {
  if (model.shim !== undefined)
    throw notPredictable('Secure Boot is to be switched: shim needs a log of a boot with it as it will be');
  const missing = KEYS.filter((name) => variables[name] === undefined);
  if (missing.length > 0)
    throw notPredictable(`Secure Boot is to be switched: ${missing.join(', ')} will be others too`, 'give their data');
}

const SBAT_LEVEL = 'SbatLevel';

interface SbatLevel {
  readonly measurement: Measurement;
  /** What it will be; undefined where the base log does not show it in a form that is understood. */
  readonly text: Uint8Array | undefined;
}

/** A newer shim raises the level: what it then writes is measured. */
function sbatLevel(event: BootEvent, { shim, images: [first] }: BootModel, base: BootLog): SbatLevel {
  const [bank] = logBanks(base);
  const shown = event.data.subarray(32 + SBAT_LEVEL.length * 2);
  const isVouched = bank !== undefined && digestMatchesPayload(event, bank) === 'matches';
  const date = isVouched ? sbatDate(shown) : undefined;
  const ours = shim === undefined || first === undefined ? undefined : shimSbatLevel(first.file);
  if (ours === undefined) return { measurement: kept(event, false), text: date === undefined ? undefined : shown };
  if (date === undefined)
    throw notPredictable(`${nameOf(event)}: does not vouch for a level of SBAT that is understood`);
  if ((sbatDate(ours) ?? '') <= date) return { measurement: kept(event, false), text: shown };
  const bytes = variableData(event.data.subarray(0, 16), SBAT_LEVEL, ours);
  const what = `authority ${SBAT_LEVEL}`;
  return { measurement: { pcr: event.pcr, what, source: first?.file.name ?? '', over: { bytes } }, text: ours };
}

function replaced(event: BootEvent, variables: NewVariables): Measurement {
  const name = event.type === EventType.EV_EFI_VARIABLE_DRIVER_CONFIG ? variableName(event.data) : '';
  const data = Object.hasOwn(variables, name) ? variables[name] : undefined;
  if (data === undefined) return kept(event, false);
  const bytes = variableData(event.data.subarray(0, 16), name, data);
  return { pcr: event.pcr, what: `variable ${name}`, source: 'given variable', over: { bytes } };
}

/** PCR 14. */
export function machineOwner(model: BootModel, base: BootLog): Measurement[] {
  const events = eventsOf(base, MOK_PCR);
  if (model.shim === undefined) return events.map((event) => kept(event, true));
  const own = model.measurements.filter(({ pcr }) => pcr === MOK_PCR);
  if (events.length < own.length)
    throw notPredictable('the base log has no machine owner lists: it booted without this shim');
  assumeNoOwnerKeys(model, base);
  const others = events.slice(own.length);
  const names = others.map((event) => withoutFinalNuls(Buffer.from(event.data).toString('latin1')));
  const unknown = others[names.findIndex((name) => name !== 'MokListTrusted')];
  if (unknown !== undefined) kept(unknown, true);
  return [...own, ...others.map((event) => kept(event, false))];
}

/** A list that is not given has to be shown by the base log to be empty. */
function assumeNoOwnerKeys({ shim, measurements }: BootModel, base: BootLog): void {
  const events = eventsOf(base, MOK_PCR);
  const own = measurements.filter(({ pcr }) => pcr === MOK_PCR);
  for (const [i, ours] of own.entries()) {
    const event = events[i];
    if (event === undefined || shim?.given.includes(ours.what) === true) continue;
    const { algorithm, value } = event.digests.find((digest) => digest.algorithm !== undefined) ?? {};
    if (algorithm === undefined || value === undefined) continue;
    if (bytesEqual(measurementDigest(ours, algorithm), value)) continue;
    throw notPredictable(
      `${nameOf(event)}: ${ours.what} holds more than shim’s own, or that of another shim`,
      'give the machine owner lists',
    );
  }
}
