/** Names of TPMs as tpm2-tools' `--tcti` writes them. */
import { TpmError } from '../errors.ts';
import { openDevice } from './device.ts';
import { openMssim } from './mssim.ts';
import type { SocketAddress } from './stream.ts';
import { openSwtpm } from './swtpm.ts';
import type { Transport } from './transport.ts';

export type TpmAddress =
  | { readonly kind: 'device'; readonly path: string }
  | { readonly kind: 'swtpm'; readonly address: SocketAddress }
  | { readonly kind: 'mssim'; readonly host: string; readonly port: number }
  /** The software TPM whose state is in this file. */
  | { readonly kind: 'software'; readonly file: string };

const ADVICE =
  'write device:/dev/tpmrm0, swtpm:path=SOCKET, swtpm:host=HOST,port=PORT, mssim:host=HOST,port=PORT or software:FILE';

/** @throws {TpmError} `tpm.argument` that shows the forms */
export function parseTpmAddress(text: string): TpmAddress {
  const colon = text.indexOf(':');
  const kind = colon < 0 ? text : text.slice(0, colon);
  const rest = colon < 0 ? '' : text.slice(colon + 1);
  if (kind === 'device') return { kind, path: rest === '' ? '/dev/tpmrm0' : rest };
  if (kind === 'software' && rest !== '') return { kind, file: rest };
  if (kind === 'swtpm' || kind === 'mssim') {
    const options = parseOptions(text, rest);
    const path = options.get('path');
    if (kind === 'swtpm' && path !== undefined) return { kind, address: { path } };
    const host = options.get('host') ?? '127.0.0.1';
    const port = parsePort(text, options.get('port') ?? '2321');
    return kind === 'swtpm' ? { kind, address: { host, port } } : { kind, host, port };
  }
  throw new TpmError('tpm.argument', `'${text}' names no TPM`, { advice: ADVICE });
}

function parseOptions(text: string, rest: string): Map<string, string> {
  const options = new Map<string, string>();
  for (const part of rest.split(',').filter((option) => option !== '')) {
    const [key = '', value] = part.split(/=(.*)/s);
    if (!['path', 'host', 'port'].includes(key) || value === undefined || value === '') {
      throw new TpmError('tpm.argument', `'${part}' in '${text}' is no option of a TPM's name`, { advice: ADVICE });
    }
    options.set(key, value);
  }
  return options;
}

function parsePort(text: string, port: string): number {
  const number = Number(port);
  if (!/^\d+$/.test(port) || number < 1 || number > 65534) {
    throw new TpmError('tpm.argument', `port '${port}' in '${text}' is not in 1…65534`, { advice: ADVICE });
  }
  return number;
}

/** Opens a TPM outside this process. @throws {TpmError} `tpm.transport` where it cannot be reached */
export function openTransport(address: Exclude<TpmAddress, { kind: 'software' }>): Promise<Transport> {
  if (address.kind === 'device') return openDevice(address.path);
  if (address.kind === 'swtpm') return openSwtpm(address.address);
  return openMssim(address.host, address.port);
}
