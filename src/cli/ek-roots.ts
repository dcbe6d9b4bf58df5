/** Files with the certificates of TPM makers and CAs that the operator trusts. */
import { readFile } from 'node:fs/promises';
import { AssayError } from '../bytes/index.ts';
import type { EkRoot } from '../server/index.ts';
import { parsePemBundle } from '../tpm/index.ts';
import { inFile } from './in-file.ts';

class EkRootError extends AssayError {
  readonly code = 'ek-root.empty';
}

/** @param assurance what a TPM is worth that these roots vouch for */
export async function readEkRoots(files: readonly string[], assurance: EkRoot['assurance']): Promise<EkRoot[]> {
  const roots = await Promise.all(files.map((file) => readRoots(file, assurance)));
  return roots.flat();
}

async function readRoots(file: string, assurance: EkRoot['assurance']): Promise<EkRoot[]> {
  const text = await readFile(file, 'utf8');
  const certificates = inFile(file, () => parsePemBundle(text));
  if (certificates.length === 0) {
    throw new EkRootError(`${file} holds no certificate`, { advice: 'give X.509 certificates in PEM' });
  }
  return certificates.map(({ raw }) => ({ certificate: raw, assurance }));
}
