import { useEffect, useState } from 'preact/hooks';
import { type EvidenceFile, type EvidenceFiles, evidenceArchive, getEvidence, type HostDetail } from './api.ts';
import { CommandLine } from './copy.tsx';
import { exactly } from './time.ts';

/** A quote as files, so that nobody has to believe this page. */
export function Evidence({ host }: { readonly host: HostDetail }) {
  const [shown, takeLatest] = useSnapshot(host);
  return (
    <section aria-labelledby="evidence-title">
      <h2 id="evidence-title">Do not believe us</h2>
      <p class="lead">
        Take the evidence and check it with a program that we did not write. Download these into one folder, then run
        the line there.
      </p>
      {shown === undefined ? (
        <p class="empty">There is no evidence yet.</p>
      ) : (
        <>
          <ul class="downloads">
            {shown.downloads.map((file) => (
              <Download key={file.name} file={file} />
            ))}
          </ul>
          <CommandLine command={shown.evidence.command} label="the line that checks the quote" />
          <p class="quiet snapshot">
            The quote of {exactly(shown.evidence.receivedAt)}.{' '}
            {host.asOf !== shown.asOf && (
              <button type="button" class="plain" onClick={takeLatest}>
                Take the latest
              </button>
            )}{' '}
            <a href={evidenceArchive(host.id)} download="evidence.tar">
              The latest as one archive
            </a>
          </p>
        </>
      )}
    </section>
  );
}

interface Downloadable {
  readonly name: string;
  readonly description: string;
  readonly size: number;
  readonly address: string;
}

function Download({ file }: { readonly file: Downloadable }) {
  return (
    <li>
      <a href={file.address} download={file.name}>
        {file.name}
      </a>
      <span class="quiet size">{bytes(file.size)}</span>
      <span class="description">{file.description}</span>
    </li>
  );
}

/** The files of one quote. Quotes follow each other every few seconds, and files of two do not fit together. */
interface Snapshot {
  /** The host's "as of" when it was taken. */
  readonly asOf: number | undefined;
  readonly evidence: EvidenceFiles;
  readonly downloads: readonly Downloadable[];
}

/** The host's first evidence, kept until the reader takes the latest. */
function useSnapshot(host: HostDetail): readonly [snapshot: Snapshot | undefined, takeLatest: () => void] {
  const [snapshot, setSnapshot] = useState<Snapshot>();
  const [taken, setTaken] = useState(0);
  const hasEvidence = host.asOf !== undefined;
  useEffect(() => {
    if (!hasEvidence) return;
    let wanted = true;
    getEvidence(host.id).then(
      (evidence) => wanted && setSnapshot({ asOf: host.asOf, evidence, downloads: evidence.files.map(downloadable) }),
      () => {}, // what was shown stays; the connection's own notice tells of a server that is gone
    );
    return () => {
      wanted = false;
    };
  }, [host.id, hasEvidence, taken]);
  useEffect(
    () => () => {
      for (const file of snapshot?.downloads ?? []) URL.revokeObjectURL(file.address);
    },
    [snapshot],
  );
  return [snapshot, () => setTaken(taken + 1)];
}

function downloadable({ name, description, content }: EvidenceFile): Downloadable {
  const blob = new Blob([Uint8Array.from(atob(content), (byte) => byte.charCodeAt(0))]);
  return { name, description, size: blob.size, address: URL.createObjectURL(blob) };
}

function bytes(size: number): string {
  if (size < 1024) return `${size} B`;
  return size < 1024 * 1024 ? `${(size / 1024).toFixed(1)} KiB` : `${(size / 1024 / 1024).toFixed(1)} MiB`;
}
