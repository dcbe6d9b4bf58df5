import { useEffect, useState } from 'preact/hooks';
import { type EvidenceFiles, evidenceFileAddress, getEvidence, type HostDetail } from './api.ts';
import { CommandLine } from './copy.tsx';

/** The last quote as files, so that nobody has to believe this page. */
export function Evidence({ host }: { readonly host: HostDetail }) {
  const evidence = useEvidence(host);
  return (
    <section aria-labelledby="evidence-title">
      <h2 id="evidence-title">Do not believe us</h2>
      <p class="lead">
        Take the evidence and check it with a program that we did not write. Download these into one folder, then run
        the line there.
      </p>
      {evidence === undefined ? (
        <p class="empty">There is no evidence yet.</p>
      ) : (
        <>
          <ul class="downloads">
            {evidence.files.map((file) => (
              <li key={file.name}>
                <a href={evidenceFileAddress(host.id, file.name)} download={file.name}>
                  {file.name}
                </a>
                <span class="quiet size">{bytes(file.size)}</span>
                <span class="description">{file.description}</span>
              </li>
            ))}
          </ul>
          <p class="archive">
            <a href={evidenceFileAddress(host.id, 'evidence.tar')} download="evidence.tar">
              All of them in one archive
            </a>
          </p>
          <CommandLine command={evidence.command} label="the line that checks the quote" />
        </>
      )}
    </section>
  );
}

function useEvidence(host: HostDetail): EvidenceFiles | undefined {
  const [evidence, setEvidence] = useState<EvidenceFiles>();
  useEffect(() => {
    let wanted = true;
    getEvidence(host.id).then(
      (found) => wanted && setEvidence(found),
      () => {}, // what was shown stays; the connection's own notice tells of a server that is gone
    );
    return () => {
      wanted = false;
    };
  }, [host.id, host.asOf]);
  return evidence;
}

function bytes(size: number): string {
  if (size < 1024) return `${size} B`;
  if (size < 1024 * 1024) return `${(size / 1024).toFixed(1)} KiB`;
  return `${(size / 1024 / 1024).toFixed(1)} MiB`;
}
