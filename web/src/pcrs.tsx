import type { HostDetail, Pcr } from './api.ts';
import { isEmpty } from './chain-links.ts';

export function Pcrs({ host }: { readonly host: HostDetail }) {
  return (
    <section aria-labelledby="pcrs-title">
      <h2 id="pcrs-title">
        PCRs <span class="count">{host.bank}</span>
      </h2>
      <p class="lead">Registers in the TPM: each can only be extended, never set, until the machine starts again.</p>
      {host.pcrs.length === 0 ? (
        <p class="empty">No quote yet.</p>
      ) : (
        <ol class="pcrs">
          {host.pcrs.map((pcr) => (
            <Row key={pcr.index} pcr={pcr} />
          ))}
        </ol>
      )}
    </section>
  );
}

function Row({ pcr }: { readonly pcr: Pcr }) {
  const empty = isEmpty(pcr.value);
  return (
    <li class="pcr" data-index={pcr.index} data-empty={empty}>
      <span class="pcr-index">
        <span class="unseen">PCR </span>
        {pcr.index}
      </span>
      <span class="pcr-meaning">{pcr.meaning}</span>
      <code class="pcr-value">{empty ? 'empty' : pcr.value}</code>
    </li>
  );
}
