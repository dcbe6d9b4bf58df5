/** `assay boot`: what the firmware measured. */
import type { Command } from 'commander';
import { type BootLog, bootWarnings, isCcLog, type ReplayedPcrs, replayBoot, replayCcLog } from '../boot/index.ts';
import { registerConvert } from './boot-convert.ts';
import { registerDiff } from './boot-diff.ts';
import { MACHINE_BOOT_LOG, MACHINE_CC_LOG, MACHINE_USERSPACE_LOG, readBootLogs, warnOf } from './boot-log-input.ts';
import { registerPredict } from './boot-predict.ts';
import { registerReference } from './boot-reference.ts';
import { warnOfStrays } from './boot-registers.ts';
import { registerShow } from './boot-show.ts';
import { registerState } from './boot-state.ts';
import { formatTable, printJson, printLine } from './terminal.ts';

const REPLAY_EXAMPLE = `
LOG may be - for standard input; left out, it is ${MACHINE_BOOT_LOG}
with ${MACHINE_USERSPACE_LOG} behind it, so that the values are the TPM's now;
or under confidential computing ${MACHINE_CC_LOG}, of which the registers are printed: RTMR0 to RTMR3 of TDX.
Where a log leaves a value in doubt, standard error says so.

Example:
  assay boot replay /sys/kernel/security/tpm0/binary_bios_measurements --json`;

export function register(program: Command): void {
  const boot = program.command('boot').description('Boot logs: what firmware and boot loader measured');
  boot.addHelpText('after', '\nExample:\n  assay boot replay /sys/kernel/security/tpm0/binary_bios_measurements');
  registerShow(boot);
  registerState(boot);
  registerDiff(boot);
  registerPredict(boot);
  registerReference(boot);
  boot
    .command('replay')
    .description('Replay a TCG event log: the PCR values that it adds up to')
    .argument('[log]', 'event log: SHA-1 or crypto-agile format, CCEL, CEL, systemd’s, txt-stat’s output')
    .option('--ccel', 'the log’s indices are registers of confidential computing, also where it does not look so')
    .option('--json', 'print {"format","events","pcrs","warnings"}, of a CCEL "registers" for "pcrs"')
    .addHelpText('after', REPLAY_EXAMPLE)
    .action(replay);
  registerConvert(boot);
}

function replay(path: string | undefined, options: { readonly json?: boolean; readonly ccel?: boolean }): void {
  const logs = readBootLogs(path);
  const { firmware, userspace } = logs;
  const asJson = options.json === true;
  if (firmware !== undefined && (options.ccel === true || isCcLog(firmware))) {
    replayRegisters(firmware, asJson);
    return;
  }
  const pcrs = replayBoot(logs);
  const events = (firmware?.events.length ?? 0) + userspace.length;
  if (asJson) {
    printJson({ format: firmware?.format ?? 'systemd', events, pcrs, warnings: bootWarnings(logs) });
    return;
  }
  warnOf(logs);
  const form = firmware === undefined ? 'systemd’s' : firmware.format === 'agile' ? 'crypto-agile' : 'SHA-1';
  printLine(`${form} log, ${events} events`);
  printLine(pcrTable(pcrs));
}

function replayRegisters(log: BootLog, asJson: boolean): void {
  const replayed = replayCcLog(log);
  if (asJson) {
    printJson({ format: log.format, events: log.events.length, ...replayed });
    return;
  }
  printLine(`confidential-computing log, ${log.events.length} events`);
  const banks = Object.entries(replayed.registers);
  printLine(formatTable(banks.flatMap(([bank, values]) => Object.entries(values).map((value) => [bank, ...value]))));
  warnOfStrays(replayed);
}

/** One line for each PCR of each bank, as tables of the field have it. */
export function pcrTable(pcrs: ReplayedPcrs): string {
  return formatTable(
    Object.entries(pcrs).flatMap(([bank, values]) =>
      Object.entries(values).map(([pcr, value]) => [bank, pcr.padStart(3), value]),
    ),
  );
}
