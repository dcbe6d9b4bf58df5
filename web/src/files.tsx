import { useEffect, useState } from 'preact/hooks';
import { getMeasurements, type HostDetail, type Measurement, type MeasurementPage } from './api.ts';
import { bySeverity, type Severity } from './severity.ts';
import { Path, Visible } from './visible.tsx';

const PAGE_SIZE = 25;

export function Files({ host }: { readonly host: HostDetail }) {
  const [search, setSearch] = useState('');
  const [page, setPage] = useState(0);
  const { shown, failure } = useMeasurements(host, search, page);
  const judged = judgedEntries(host);
  return (
    <section aria-labelledby="files-title">
      <h2 id="files-title">
        Measured files <span class="count">{host.measured.toLocaleString('en')}</span>
      </h2>
      <search class="files-search">
        <label>
          <span>Path or digest contains</span>
          <input
            type="search"
            value={search}
            spellcheck={false}
            autocomplete="off"
            onInput={(event) => {
              setSearch(event.currentTarget.value);
              setPage(0);
            }}
          />
        </label>
      </search>
      {failure !== undefined && <p class="empty">The list could not be read: {failure}.</p>}
      {shown !== undefined && <Rows page={shown} judged={judged} searching={search !== ''} />}
      {shown !== undefined && shown.total > PAGE_SIZE && <Pager page={page} total={shown.total} onPage={setPage} />}
    </section>
  );
}

interface Loaded {
  readonly shown: MeasurementPage | undefined;
  readonly failure: string | undefined;
}

/** Asks again when the search or the page changes, and when more has been measured. */
function useMeasurements(host: HostDetail, search: string, page: number): Loaded {
  const [loaded, setLoaded] = useState<Loaded>({ shown: undefined, failure: undefined });
  useEffect(() => {
    let wanted = true;
    const timer = setTimeout(async () => {
      try {
        const shown = await getMeasurements(host.id, { search, page, pageSize: PAGE_SIZE });
        if (wanted) setLoaded({ shown, failure: undefined });
      } catch (error) {
        if (wanted) setLoaded((last) => ({ ...last, failure: error instanceof Error ? error.message : String(error) }));
      }
    }, SETTLE_MS);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [host.id, host.measured, host.asOf === undefined, search, page]);
  return loaded;
}

/** So that typing asks once. */
const SETTLE_MS = 120;

/** The worst severity of each entry of the list that a finding names. */
function judgedEntries(host: HostDetail): ReadonlyMap<number, Severity> {
  const judged = new Map<number, Severity>();
  for (const { severity, position } of host.findings) {
    if (position?.log !== 'ima') continue;
    const before = judged.get(position.index);
    if (before === undefined || bySeverity(severity, before) < 0) judged.set(position.index, severity);
  }
  return judged;
}

interface RowsProps {
  readonly page: MeasurementPage;
  readonly judged: ReadonlyMap<number, Severity>;
  readonly searching: boolean;
}

function Rows({ page, judged, searching }: RowsProps) {
  if (page.items.length === 0) {
    return <p class="empty">{searching ? 'No measured file matches.' : 'Nothing has been measured yet.'}</p>;
  }
  return (
    <table class="files">
      <thead>
        <tr>
          <th scope="col">Entry</th>
          <th scope="col">File</th>
          <th scope="col">Digest</th>
        </tr>
      </thead>
      <tbody>
        {page.items.map((item) => (
          <Row key={item.index} item={item} severity={judged.get(item.index)} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ item, severity }: { readonly item: Measurement; readonly severity: Severity | undefined }) {
  return (
    <tr data-severity={severity}>
      <td class="entry">{item.index}</td>
      <td>
        <Path path={item.path} />
        {severity !== undefined && severity !== 'info' && (
          <>
            {' '}
            <span class="row-severity">{ROW_WORDS[severity]}</span>
          </>
        )}
      </td>
      <td>
        <code class="digest">
          <Visible text={item.digest} />
        </code>
      </td>
    </tr>
  );
}

const ROW_WORDS = { untrusted: 'not trusted', unknown: 'unknown', warning: 'warning' } as const;

interface PagerProps {
  readonly page: number;
  readonly total: number;
  readonly onPage: (page: number) => void;
}

function Pager({ page, total, onPage }: PagerProps) {
  const last = Math.ceil(total / PAGE_SIZE) - 1;
  const first = page * PAGE_SIZE + 1;
  return (
    <nav class="pager" aria-label="Pages of measured files">
      <button type="button" disabled={page === 0} onClick={() => onPage(page - 1)}>
        Newer
      </button>
      <p role="status">
        {first.toLocaleString('en')}–{Math.min(total, first + PAGE_SIZE - 1).toLocaleString('en')} of{' '}
        {total.toLocaleString('en')}
      </p>
      <button type="button" disabled={page >= last} onClick={() => onPage(page + 1)}>
        Older
      </button>
    </nav>
  );
}
