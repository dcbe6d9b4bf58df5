/** The last quote of a host as files that tpm2-tools reads: whoever does not believe the verdict checks it there. */
import { digestInfo, fromHex, toHex } from '../bytes/index.ts';
import { decode, type SelectedPcrs, TPMT_PUBLIC, writePcrValues, writePublicFile } from '../tpm/index.ts';
import type { Enrolment } from '../verify/index.ts';
import type { PcrHex } from './pcr-hex.ts';
import type { StoredQuote } from './store/evidence.ts';
import { fromJson } from './store/json-column.ts';

export interface EvidenceFile {
  readonly name: string;
  readonly description: string;
  readonly bytes: Uint8Array;
}

export interface EvidenceFiles {
  /** When the quote came, ms. */
  readonly receivedAt: number;
  readonly files: readonly EvidenceFile[];
  /** The line that checks the quote, for a shell in the folder with the files. */
  readonly command: string;
}

export function evidenceFiles(quote: StoredQuote, { akPublic, selection }: Enrolment): EvidenceFiles {
  const command = `tpm2_checkquote -u ak.pub -m quote.message -s quote.signature -f quote.pcrs -g ${schemeHash(akPublic)} -q ${toHex(quote.nonce)}`;
  const area = decode(TPMT_PUBLIC, akPublic);
  return {
    receivedAt: quote.received_at,
    command,
    files: [
      { name: 'quote.message', description: 'TPMS_ATTEST, as the TPM signed it', bytes: quote.message },
      { name: 'quote.signature', description: 'TPMT_SIGNATURE', bytes: quote.signature },
      {
        name: 'quote.pcrs',
        description: 'the quoted PCR values, as tpm2_quote writes them',
        bytes: pcrFile(fromJson(quote.pcrs), selection.bank),
      },
      { name: 'ak.pub', description: 'the enrolled attestation key, TPM2B_PUBLIC', bytes: writePublicFile(area) },
      { name: 'check.sh', description: 'the line that checks them', bytes: Buffer.from(`#!/bin/sh\n${command}\n`) },
    ],
  };
}

function schemeHash(akPublic: Uint8Array): string {
  const area = decode(TPMT_PUBLIC, akPublic);
  if (area.type !== 'rsa' && area.type !== 'ecc') return 'sha256';
  const { scheme } = area.parameters;
  return 'hashAlg' in scheme ? scheme.hashAlg : 'sha256';
}

function pcrFile(values: PcrHex, enrolled: string): Uint8Array {
  const banks = Object.entries(values).toSorted(([a]) => (a === enrolled ? -1 : 1));
  const selected: SelectedPcrs[] = banks.map(([bank, pcrs]) => ({
    hash: digestInfo(bank).name,
    pcrs: Object.entries(pcrs)
      .map(([index, value]) => ({ index: Number(index), value: fromHex(value) }))
      .toSorted((a, b) => a.index - b.index),
  }));
  return writePcrValues(selected);
}
