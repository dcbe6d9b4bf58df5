/** `assay ima`: measurement lists; `ima-audit.ts`: the audit log; `ima-policy.ts`: policies. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { toHex } from '../bytes/index.ts';
import type { PcrBank } from '../evidence/index.ts';
import {
  checkList,
  type ListCheck,
  ListReader,
  listHolds,
  type MeasurementEntry,
  type PcrCheck,
  type PcrValues,
  parseBanks,
  parsePcrText,
  StreamedReplay,
} from '../ima/index.ts';
import { pcrTable } from './boot.ts';
import { registerAudit } from './ima-audit.ts';
import { registerPolicy } from './ima-policy.ts';
import { inFile } from './in-file.ts';
import { chunksOf, withInput } from './read-input.ts';
import { escapeControls, formatTable, printJson, printLine } from './terminal.ts';

const LIST_FILE = '/sys/kernel/security/ima/binary_runtime_measurements';

const listHelp = (example: string): string =>
  `\nLIST is binary or ASCII, which is found by itself; - is standard input.\n\nExample:\n  ${example}`;

export function register(program: Command): void {
  const ima = program
    .command('ima')
    .description('IMA: what the kernel measured, by which policies, and what it told the audit log');
  ima.addHelpText('after', `\nExample:\n  assay ima show ${LIST_FILE}`);
  ima
    .command('replay')
    .description('Replay a list: the PCR values that it adds up to, and whether each template digest is right')
    .argument('<list>', 'measurement list')
    .option('--hash <banks>', 'PCR banks, comma-separated', 'sha1,sha256')
    .option('--json', 'print {"entries","violations","templates","badTemplateDigests","pcrs"}')
    .addHelpText('after', listHelp(`assay ima replay ${LIST_FILE} --hash sha256 --json`))
    .action(replay);
  ima
    .command('show')
    .description('Show the entries of a list, one a line, control characters escaped')
    .argument('<list>', 'measurement list')
    .option('--json', 'print one JSON object a line')
    .addHelpText('after', listHelp(`assay ima show ${LIST_FILE}`))
    .action(show);
  const check = ima
    .command('check')
    .description('Check a list against PCR values: boot_aggregate, and each PCR that the list extends')
    .argument('<list>', 'measurement list')
    .option('--pcrs <file>', "PCR values: tpm2_pcrread's output, the TPM 1.2 driver's file pcrs, or JSON")
    .option('--json', 'print {"ok","entries","violations","badTemplateDigests","bootAggregate","pcrs"}')
    .addHelpText('after', listHelp(`tpm2_pcrread > pcrs.txt && assay ima check ${LIST_FILE} --pcrs pcrs.txt`));
  check.option('--tpm [name]', 'take the PCR values from this TPM (left out: ASSAY_TPM, else the machine’s own)');
  check.action((path: string, options: CheckOptions) => runCheck(path, options, check));
  registerAudit(ima);
  registerPolicy(ima);
}

function replay(path: string, options: { hash: string; json?: boolean }): void {
  const stream = new StreamedReplay({ banks: parseBanks(options.hash) });
  inFile(path, () => {
    withInput(path, (fd) => {
      for (const chunk of chunksOf(fd)) stream.push(chunk);
    });
    stream.end();
  });
  const { entries, violations, templates, badTemplateDigests, badCount } = stream.replay;
  const pcrs = stream.replay.pcrs();
  // The kernel's own list begins with boot_aggregate, whatever the policy.
  if (entries === 0) process.exitCode = 3;
  if (badCount > 0) process.exitCode = 1;
  if (options.json === true) {
    printJson({ entries, violations, templates: Object.fromEntries(templates), badTemplateDigests, pcrs });
    return;
  }
  if (entries === 0) {
    printLine('the list is empty: IMA is off in this kernel, or the file was cut; it says nothing about the PCRs');
    return;
  }
  const counts = [...templates].map(([name, count]) => `${count} ${name}`).join(', ');
  printLine(`${entries} entries (${counts}), ${violations} violations`);
  printLine(badCount === 0 ? 'every template digest is right' : describeBad(badTemplateDigests, badCount));
  printLine(pcrTable(pcrs));
}

function describeBad(noted: readonly number[], count: number): string {
  const some = noted.slice(0, 10).join(', ');
  return `${count} template digests are wrong: entries ${some}${count > 10 ? ', …' : ''} (counted from 0)`;
}

function show(path: string, options: { json?: boolean }): void {
  const reader = new ListReader();
  const print = (entries: readonly MeasurementEntry[]): void => {
    for (const entry of entries) {
      if (options.json === true) printJson(describeEntry(entry));
      else printLine(lineOf(entry));
    }
  };
  inFile(path, () => {
    withInput(path, (fd) => {
      for (const chunk of chunksOf(fd)) print(reader.push(chunk));
    });
    print(reader.end());
  });
}

function describeEntry({ fields, ...entry }: MeasurementEntry): object {
  const hex = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : toHex(bytes));
  const digestOf = (found: { algorithm: string; value: Uint8Array } | undefined) =>
    found === undefined ? undefined : `${found.algorithm}:${toHex(found.value)}`;
  return {
    index: entry.index,
    pcr: entry.pcr,
    template: entry.template,
    templateDigest: toHex(entry.templateDigest),
    violation: entry.violation,
    ...(fields === undefined
      ? { templateData: toHex(entry.templateData) }
      : {
          path: fields.path,
          digest: digestOf(fields.digest),
          digestOf: fields.digest?.kind === 'verity' ? 'verity' : undefined,
          signature: hex(fields.signature),
          buffer: hex(fields.buffer),
          modsigDigest: digestOf(fields.modsigDigest),
          modsig: hex(fields.modsig),
          evmSignature: hex(fields.evmSignature),
          xattrNames: fields.xattrNames,
          xattrLengths: fields.xattrLengths,
          xattrValues: hex(fields.xattrValues),
          iuid: fields.iuid,
          igid: fields.igid,
          imode: fields.imode,
        }),
  };
}

function lineOf(entry: MeasurementEntry): string {
  const { index, pcr, template, violation, fields } = entry;
  const found = fields?.digest;
  const value = found === undefined ? '' : `${found.algorithm || '-'}:${toHex(found.value)}`;
  const marks = [
    violation ? 'VIOLATION' : '',
    fields?.signature !== undefined && fields.signature.length > 0 ? 'signed' : '',
  ].filter((mark) => mark !== '');
  const subject = fields?.path ?? `${entry.templateData.length} bytes of a template that is not known`;
  return escapeControls([String(index), String(pcr), template, value, subject, ...marks].join('  '));
}

interface CheckOptions {
  readonly pcrs?: string;
  readonly tpm?: string | true;
  readonly json?: boolean;
}

async function runCheck(path: string, options: CheckOptions, command: Command): Promise<void> {
  // Before the list: the kernel lists an entry before it extends the PCR, so the list is then never behind.
  const pcrs = await realPcrs(options, command);
  const result = inFile(path, () => withInput(path, (fd) => checkList(chunksOf(fd), pcrs)));
  const ok = listHolds(result);
  if (!ok) process.exitCode = 1;
  if (options.json === true) printJson({ ok, ...result });
  else printCheck(result);
}

function realPcrs(options: CheckOptions, command: Command): Promise<PcrValues> {
  const { pcrs } = options;
  if (pcrs !== undefined && options.tpm === undefined) {
    return Promise.resolve(inFile(pcrs, () => parsePcrText(readFileSync(pcrs, 'utf8'))));
  }
  if (pcrs === undefined && options.tpm !== undefined) {
    return readTpmPcrs(options.tpm === true ? process.env.ASSAY_TPM : options.tpm, options.json === true);
  }
  return command.error('give the PCR values with --pcrs FILE or --tpm');
}

/** boot_aggregate is over PCR 0–9, the list is anchored in PCR 10. */
const IMA_PCRS = Array.from({ length: 11 }, (_, index) => index);

/** The TPM's code is loaded only here: every other verb starts without it. */
async function readTpmPcrs(name: string | undefined, json: boolean): Promise<PcrValues> {
  const [{ withTpm }, { pcrBanks, readBank }] = await Promise.all([
    import('./with-tpm.ts'),
    import('../agent/index.ts'),
  ]);
  return await withTpm({ json, ...(name === undefined ? {} : { tpm: name }) }, async ({ tpm }) => {
    const values: { [bank in PcrBank]?: Record<string, string> } = {};
    for (const bank of await pcrBanks(tpm)) {
      const pcrs = Object.entries(await readBank(tpm, bank, IMA_PCRS));
      values[bank] = Object.fromEntries(pcrs.map(([index, value]) => [index, toHex(value)]));
    }
    return values;
  });
}

const AGGREGATE_WORDS = {
  matches: 'boot_aggregate matches the PCRs',
  differs: 'boot_aggregate DIFFERS from the PCRs',
  'no-tpm': 'boot_aggregate is zero: the kernel found no TPM',
  absent: 'boot_aggregate: the list does not begin with one',
  'no-bank': 'boot_aggregate: the PCRs that it is made over (0–9 of its bank) were not all given',
} as const;

function printCheck(result: ListCheck): void {
  printLine(`${result.entries} entries, ${result.violations} violations`);
  const { badTemplateDigests: bad } = result;
  if (bad.length > 0) printLine(describeBad(bad, bad.length));
  printLine(AGGREGATE_WORDS[result.bootAggregate.verdict]);
  if (result.pcrs.length === 0) printLine('no value was given of a PCR that the list extends');
  else
    printLine(
      formatTable(result.pcrs.map((check) => [check.bank, `PCR ${check.pcr}`, pcrWords(check, result.entries)])),
    );
}

function pcrWords({ reachedAt, padded, real, virtual }: PcrCheck, entries: number): string {
  if (reachedAt === undefined) return `DIFFERS: the list adds up to ${virtual}, the PCR holds ${real}`;
  const later = entries - reachedAt;
  const tail = later === 0 ? '' : `; ${later} later entries are not yet covered`;
  return `matches${padded ? ' (SHA-1 padded, as kernels before 5.8 extend)' : ''}${tail}`;
}
