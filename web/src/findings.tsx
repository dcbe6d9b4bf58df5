import { useState } from 'preact/hooks';
import type { Finding, HostDetail } from './api.ts';
import { Approve } from './approve.tsx';
import { LINK_NAMES } from './chain-links.ts';
import { type CodeGroup, groupFindings, type LinkGroup } from './finding-groups.ts';
import { meaningOf, type Severity } from './severity.ts';
import { Path, Visible } from './visible.tsx';

export function Findings({ host }: { readonly host: HostDetail }) {
  const groups = groupFindings(host.findings);
  return (
    <section aria-labelledby="findings-title">
      <h2 id="findings-title">
        Findings <span class="count">{host.findings.length.toLocaleString('en')}</span>
      </h2>
      {groups.length === 0 ? <NoFindings judged={host.verdict !== undefined} /> : null}
      {groups.map((group) => (
        <LinkFindings key={group.link} group={group} host={host.id} />
      ))}
    </section>
  );
}

function NoFindings({ judged }: { readonly judged: boolean }) {
  return (
    <p class="empty">
      {judged ? 'Nothing to report: all that was measured is as expected.' : 'Nothing has been judged yet.'}
    </p>
  );
}

function LinkFindings({ group, host }: { readonly group: LinkGroup; readonly host: string }) {
  return (
    <div class="finding-link" id={`findings-${group.link}`} tabIndex={-1}>
      <h3>{LINK_NAMES[group.link]}</h3>
      {group.codes.map((codes) => (
        <CodeFindings key={codes.code} group={codes} host={host} />
      ))}
    </div>
  );
}

const SEVERITY_WORDS: Readonly<Record<Severity, string>> = {
  untrusted: 'not trusted',
  unknown: 'unknown',
  warning: 'warning',
  info: 'note',
};

/** How many of one kind are shown before the reader asks for more. */
const FIRST = 3;
const MORE = 50;

/** Files that wait for a person: `pending` in the reference manifest. */
const WAITING: ReadonlySet<string> = new Set(['file.unpackaged', 'file.package-modified', 'file.no-checksum']);

function CodeFindings({ group, host }: { readonly group: CodeGroup; readonly host: string }) {
  const [shown, setShown] = useState(FIRST);
  const left = group.findings.length - shown;
  const { severity, title, advice } = group.first;
  const meaning = meaningOf(group.code);
  return (
    <article class="finding" data-severity={severity}>
      <h4>
        <span class="severity">{SEVERITY_WORDS[severity]}</span>
        <span>
          {title}
          {group.findings.length > 1 && <span class="count">{group.findings.length.toLocaleString('en')}</span>}
        </span>
      </h4>
      <ul>
        {group.findings.slice(0, shown).map((finding) => (
          <li key={keyOf(finding)}>
            <Sentence finding={finding} />
            {WAITING.has(group.code) && <Approve host={host} path={finding.subject} />}
          </li>
        ))}
      </ul>
      {left > 0 && (
        <button type="button" class="plain" onClick={() => setShown(shown + MORE)}>
          Show {Math.min(left, MORE).toLocaleString('en')} more
        </button>
      )}
      <details>
        <summary>What it means</summary>
        {meaning !== undefined && <p>{meaning}</p>}
        {!group.first.message.includes(advice) && <p>{advice}</p>}
        <p class="quiet">
          Code <code>{group.code}</code>
        </p>
      </details>
    </article>
  );
}

function keyOf({ subject, position, found }: Finding): string {
  return `${position?.log} ${position?.index} ${subject} ${found}`;
}

function Sentence({ finding }: { readonly finding: Finding }) {
  const { expected, found, position } = finding;
  return (
    <>
      <p>
        <Visible text={finding.message} />
      </p>
      <dl class="facts">
        {finding.subject.startsWith('/') && !finding.message.includes(finding.subject) && (
          <div>
            <dt>about</dt>
            <dd>
              <Path path={finding.subject} />
            </dd>
          </div>
        )}
        {expected !== undefined && <Fact name="expected" value={expected} />}
        {found !== undefined && <Fact name="found" value={found} />}
        {position !== undefined && <Fact name="measured" value={placeOf(position)} />}
      </dl>
    </>
  );
}

const LOG_NAMES: Readonly<Record<string, string>> = {
  boot: 'of the firmware log',
  ima: 'of the measured files',
  userspace: 'of the user-space boot log',
};

function placeOf({ log, index, pcr }: NonNullable<Finding['position']>): string {
  return `entry ${index} ${LOG_NAMES[log] ?? log}, PCR ${pcr}`;
}

function Fact({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <Visible text={value} />
      </dd>
    </div>
  );
}
