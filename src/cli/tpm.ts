/** `assay tpm`: the TPM itself. */
import { type Command, InvalidArgumentError } from 'commander';
import { pcrMeaning } from '../boot/index.ts';
import { toHex } from '../bytes/index.ts';
import {
  activeBanks,
  readEndorsementCertificates,
  readPcrs,
  TPM_PT,
  TPM2_GetCapability,
  TPM2_GetRandom,
  TPM2_ReadClock,
  type TPMI_ALG_HASH,
  type TpmClient,
  TpmError,
  TpmParseError,
} from '../tpm/index.ts';
import type { OpenedTpm } from '../vtpm/index.ts';
import { escapeControls, formatTable, printJson, printLine } from './terminal.ts';
import { registerQuoteCommands } from './tpm-quote.ts';
import { addTpmOptions, demonstrationField, type TpmOptions, withTpm } from './with-tpm.ts';
import { writeOutput } from './write-output.ts';

/** Enough for keys and seeds; a TPM gives some kilobytes a second. */
const MAX_RANDOM = 65_536;
/** The digest size that every TPM gives in one answer. */
const RANDOM_PIECE = 32;

interface CommonOptions extends TpmOptions {
  readonly json?: boolean;
}

export function register(program: Command): void {
  const tpm = program.command('tpm').description('The TPM: what it is, what its PCRs hold, quotes');
  tpm.addHelpText('after', '\nExample:\n  assay tpm pcrs --tpm device:/dev/tpmrm0');
  addTpmOptions(tpm.command('info'))
    .description('Say what the TPM is: maker, firmware, PCR banks, endorsement certificates, clock')
    .option('--json', 'print {"tpm","kind","manufacturer","firmware","revision","banks",…}')
    .addHelpText('after', '\nExample:\n  assay tpm info --tpm swtpm:path=/run/vtpm/socket')
    .action((options: CommonOptions) => withTpm(options, (opened) => info(opened, options.json === true)));
  addTpmOptions(tpm.command('pcrs'))
    .description('Show the PCRs: their values and what each of them holds')
    .option('--bank <hash>', 'sha1, sha256, sha384 or sha512 (default: sha256 where it is active)')
    .option('--json', 'print {"pcrs":{BANK:{INDEX:HEX}},"meanings":{INDEX:TEXT}}')
    .addHelpText('after', '\nExample:\n  assay tpm pcrs --bank sha256')
    .action((options: PcrsOptions) => withTpm(options, (opened) => pcrs(opened, options)));
  addTpmOptions(tpm.command('random'))
    .description("Print random bytes of the TPM's generator in hex")
    .argument('<count>', `how many, 1…${MAX_RANDOM}`, parseCount)
    .option('-o, --output <file>', 'write them to this file, as bytes')
    .option('--json', 'print {"random":HEX}')
    .addHelpText('after', '\nExample:\n  assay tpm random 32')
    .action((count: number, options: RandomOptions) => withTpm(options, (opened) => random(opened, count, options)));
  registerQuoteCommands(tpm);
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > MAX_RANDOM) {
    throw new InvalidArgumentError(`a number from 1 to ${MAX_RANDOM} is needed.`);
  }
  return count;
}

// --- info -------------------------------------------------------------------------------------------------------------

async function info(opened: OpenedTpm, asJson: boolean): Promise<void> {
  const { tpm, kind } = opened;
  const property = await fixedProperties(tpm);
  const certificates = await endorsementCertificates(tpm);
  const clock = (await tpm.execute(TPM2_ReadClock, {})).currentTime.clockInfo;
  const described = {
    tpm: tpm.description,
    kind,
    ...demonstrationField(opened),
    manufacturer: textOf([property(TPM_PT.MANUFACTURER)]),
    vendor: textOf(VENDOR_STRINGS.map(property)),
    firmware: firmwareOf(property(TPM_PT.FIRMWARE_VERSION_1), property(TPM_PT.FIRMWARE_VERSION_2)),
    revision: (property(TPM_PT.REVISION) / 100).toFixed(2),
    banks: (await activeBanks(tpm)).map(({ hash }) => hash),
    endorsementCertificates: certificates,
    clock: { ...clock, clock: Number(clock.clock) },
  };
  if (asJson) printJson(described);
  else printInfo(described);
}

const VENDOR_STRINGS = [
  TPM_PT.VENDOR_STRING_1,
  TPM_PT.VENDOR_STRING_2,
  TPM_PT.VENDOR_STRING_3,
  TPM_PT.VENDOR_STRING_4,
] as const;

/** A look-up in the fixed properties; 0 for one that the TPM does not have. */
async function fixedProperties(tpm: TpmClient): Promise<(property: number) => number> {
  const { capabilityData } = await tpm.execute(TPM2_GetCapability, {
    capability: 'tpm_properties',
    property: TPM_PT.FAMILY_INDICATOR,
    propertyCount: 64,
  });
  const data = capabilityData.capability === 'tpm_properties' ? capabilityData.data : [];
  return (wanted) => data.find(({ property }) => property === wanted)?.value ?? 0;
}

/** Four characters a number, padded with NULs or blanks (TPM 2.0 Part 2, 6.13). */
function textOf(values: readonly number[]): string {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4);
  return bytes.toString('latin1').replaceAll('\0', '').trim();
}

/** Four 16-bit numbers, of which makers print all that are not leading zeros in the second word. */
function firmwareOf(high: number, low: number): string {
  const parts = [high >>> 16, high & 0xffff];
  if (low !== 0) parts.push(low >>> 16, low & 0xffff);
  return parts.join('.');
}

interface CertificateDescription {
  readonly key: string;
  readonly issuer: string;
  readonly subject: string;
  readonly serial: string;
  readonly validTo: string;
}

/** A certificate that cannot be read hides the others' display, never the rest of the TPM's. */
async function endorsementCertificates(tpm: TpmClient): Promise<readonly CertificateDescription[] | string> {
  try {
    const found = await readEndorsementCertificates(tpm);
    return found.map(({ profile, certificate }) => ({
      key: profile.name,
      issuer: oneLine(certificate.issuer),
      subject: oneLine(certificate.subject),
      serial: certificate.serialNumber,
      validTo: certificate.validTo,
    }));
  } catch (error) {
    if (error instanceof TpmError || error instanceof TpmParseError) return `cannot be read: ${error.message}`;
    throw error;
  }
}

/** undefined where the subject is empty, as in EK certificates that name the TPM in their alternative name only. */
const oneLine = (name: string | undefined): string => (name ?? '').replaceAll('\n', ', ');

interface TpmDescription {
  readonly tpm: string;
  readonly manufacturer: string;
  readonly vendor: string;
  readonly firmware: string;
  readonly revision: string;
  readonly banks: readonly string[];
  readonly endorsementCertificates: readonly CertificateDescription[] | string;
  readonly clock: { clock: number; resetCount: number; restartCount: number; safe: boolean };
}

function printInfo(described: TpmDescription): void {
  const { clock, endorsementCertificates: certificates } = described;
  const rows = [
    ['TPM', described.tpm],
    ['manufacturer', `${described.manufacturer} (${described.vendor})`],
    ['firmware', described.firmware],
    ['specification', `TPM 2.0 revision ${described.revision}`],
    ['PCR banks', described.banks.join(', ') || 'none'],
    ['clock', `${duration(clock.clock)} powered, ${clock.resetCount} resets, ${clock.restartCount} restarts`],
  ];
  if (typeof certificates === 'string') rows.push(['EK certificates', certificates]);
  else if (certificates.length === 0) rows.push(['EK certificates', 'none: nobody vouches for this TPM']);
  else
    for (const { key, issuer, validTo } of certificates)
      rows.push(['EK certificate', `${key}, issued by ${issuer}, valid to ${validTo}`]);
  printLine(escapeControls(formatTable(rows), true));
}

function duration(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  return [days > 0 ? `${days} d` : '', hours > 0 ? `${hours} h` : '', `${minutes % 60} min`]
    .filter((part) => part !== '')
    .join(' ');
}

// --- pcrs and random --------------------------------------------------------------------------------------------------

interface PcrsOptions extends CommonOptions {
  readonly bank?: string;
}

async function pcrs(opened: OpenedTpm, options: PcrsOptions): Promise<void> {
  const { tpm } = opened;
  const banks = await activeBanks(tpm);
  const bank = chooseBank(
    banks.map(({ hash }) => hash),
    options.bank,
  );
  const indices = banks.find(({ hash }) => hash === bank)?.pcrs ?? [];
  const values = await readPcrs(tpm, bank, indices);
  const meanings = Object.fromEntries(values.map(({ index }) => [index, pcrMeaning(index)]));
  if (options.json === true) {
    const hex = Object.fromEntries(values.map(({ index, value }) => [index, toHex(value)]));
    printJson({ pcrs: { [bank]: hex }, meanings, ...demonstrationField(opened) });
    return;
  }
  printLine(`${bank} bank (${banks.map(({ hash }) => hash).join(', ')} active)`);
  const rows = values.map(({ index, value }) => [String(index).padStart(2), shown(value), meanings[index] ?? '']);
  printLine(formatTable(rows));
}

/** Runs of one byte say "never extended" better in words. */
function shown(value: Uint8Array): string {
  if (value.every((byte) => byte === 0)) return 'zero (not extended)';
  if (value.every((byte) => byte === 0xff)) return 'ones (no dynamic launch)';
  return toHex(value);
}

function chooseBank(active: readonly TPMI_ALG_HASH[], asked: string | undefined): TPMI_ALG_HASH {
  const wanted = asked === undefined ? ['sha256', 'sha384', 'sha512', 'sha1'] : [asked];
  const bank = wanted.flatMap((name) => active.filter((hash) => hash === name))[0];
  if (bank !== undefined) return bank;
  const what = asked === undefined ? 'a PCR bank that Assay knows' : `an active PCR bank '${asked}'`;
  throw new TpmError('tpm.argument', `the TPM does not have ${what}`, {
    advice: `its active banks are ${active.join(', ') || 'none'}`,
  });
}

interface RandomOptions extends CommonOptions {
  readonly output?: string;
}

async function random(opened: OpenedTpm, count: number, options: RandomOptions): Promise<void> {
  const bytes = await randomBytes(opened.tpm, count);
  if (options.output !== undefined) writeOutput(options.output, bytes, { mode: 0o600 });
  else if (options.json === true) printJson({ random: toHex(bytes), ...demonstrationField(opened) });
  else printLine(toHex(bytes));
}

async function randomBytes(tpm: TpmClient, count: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for (let left = count; left > 0; ) {
    const bytesRequested = Math.min(left, RANDOM_PIECE);
    const { randomBytes: piece } = await tpm.execute(TPM2_GetRandom, { bytesRequested });
    if (piece.length === 0 || piece.length > bytesRequested) {
      throw new TpmError('tpm.malformed', `the TPM gave ${piece.length} random bytes for ${bytesRequested}`);
    }
    pieces.push(piece);
    left -= piece.length;
  }
  return Buffer.concat(pieces);
}
