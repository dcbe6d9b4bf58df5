/** `assay vtpm serve`: the software TPM of a file, on sockets. */
import { existsSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { EmbeddedTpm, type ServeOptions, serveTpm } from '../../vtpm/index.ts';
import { untilStopped } from '../signals.ts';
import { printJson, printLine } from '../terminal.ts';
import { tellDemonstration } from '../with-tpm.ts';
import { KEY_FORMS, type KeySource, keyOption, readStateKey } from './key-option.ts';

interface Options {
  readonly tcp?: number;
  readonly unix?: string;
  readonly protocol: ServeOptions['protocol'];
  readonly state: string;
  readonly key?: KeySource;
  readonly json?: boolean;
}

const HELP = `
The TPM is made where the file is not there, and is started already. It keeps its PCRs while this machine is on. It
demonstrates and does not protect: its keys are in the memory of a process, its EK certificates say so.

Example:
  assay vtpm serve --unix /run/user/0/vtpm --state ./vtpm-state
  TPM2TOOLS_TCTI=swtpm:path=/run/user/0/vtpm tpm2_getrandom --hex 16`;

export function registerServe(vtpm: Command): void {
  vtpm
    .command('serve')
    .description('Serve the software TPM of a file to tpm2-tools and others, until interrupted')
    .requiredOption('--state <file>', 'where its state is, or will be')
    .addOption(
      new Option('--tcp <port>', 'the first of two ports in a row on 127.0.0.1; 0 takes any')
        .argParser(parsePort)
        .conflicts('unix'),
    )
    .option('--unix <path>', 'a socket; the control channel is at PATH.ctrl')
    .addOption(new Option('--protocol <name>', 'how clients speak').choices(['swtpm', 'mssim']).default('swtpm'))
    .addOption(keyOption('--key', `the file is encrypted under an AES key: ${KEY_FORMS}`))
    .option('--json', 'print {"address","control","demonstration"} when it serves')
    .addHelpText('after', HELP)
    .action(serve);
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_534) throw new InvalidArgumentError('a port from 0 to 65534 is needed.');
  return port;
}

async function serve({ tcp, unix, protocol, state, key, json }: Options): Promise<void> {
  const isNew = !existsSync(state);
  const tpm = await EmbeddedTpm.open(state, key === undefined ? {} : { key: await readStateKey(key) });
  if (json !== true) tellDemonstration(state, isNew);
  try {
    const served = await serveTpm(tpm, { protocol, ...(unix === undefined ? { tcp: { port: tcp ?? 0 } } : { unix }) });
    const control = controlOf(served.address);
    if (json) printJson({ address: served.address, control, demonstration: true });
    else printLine(`serving ${served.address}; its control channel is ${control}`);
    await untilStopped();
    await served.close();
  } finally {
    await tpm.close();
  }
}

/** The second channel, which tpm2-tss finds by itself: the port after the first, or the path with .ctrl. */
function controlOf(address: string): string {
  const [, host, port] = /host=([^,]+),port=(\d+)$/.exec(address) ?? [];
  if (port !== undefined) return `${host}:${Number(port) + 1}`;
  return `${address.replace(/^[a-z]+:path=/, '')}.ctrl`;
}
