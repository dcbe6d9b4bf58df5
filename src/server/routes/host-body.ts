/** A host as the API shows it. */
import Type from 'typebox';
import { FINDINGS, type Finding } from '../../verify/index.ts';
import { bySeverity } from '../by-severity.ts';
import type { HostRow } from '../store/hosts.ts';
import { AssuranceBody, type FindingBody, MeasurerBody, Milliseconds, VerdictBody } from './schemas.ts';

export const HostSummaryBody = Type.Object({
  id: Type.String(),
  name: Type.String(),
  verdict: Type.Optional(VerdictBody),
  asOf: Type.Optional(Type.Integer({ description: 'When the nonce was issued that the verdict answers, ms' })),
  assurance: AssuranceBody,
  measurer: MeasurerBody,
  live: Type.Boolean(),
  reachability: Type.Union([Type.Literal('live'), Type.Literal('silent')]),
  enrolledAt: Milliseconds,
  lastSeenAt: Type.Optional(Milliseconds),
  measured: Type.Integer(),
  findings: Type.Integer({ description: 'How many findings the verdict has' }),
  referenceId: Type.Optional(Type.String()),
});

export type HostSummary = Type.Static<typeof HostSummaryBody>;
export type FindingView = Type.Static<typeof FindingBody>;

export function summaryOf(row: HostRow): HostSummary {
  return {
    id: row.id,
    name: row.name,
    ...(row.verdict === null ? {} : { verdict: row.verdict }),
    ...(row.verdict_as_of === null ? {} : { asOf: row.verdict_as_of }),
    assurance: row.assurance,
    measurer: row.measurer,
    live: row.live === 1,
    reachability: row.live === 1 ? 'live' : 'silent',
    enrolledAt: row.enrolled_at,
    ...(row.last_seen_at === null ? {} : { lastSeenAt: row.last_seen_at }),
    measured: row.measured,
    findings: row.finding_count,
    ...(row.reference_id === null ? {} : { referenceId: row.reference_id }),
  };
}

/** The finding with what its table says of it, worst first. */
export function findingViews(findings: readonly Finding[]): FindingView[] {
  return bySeverity(findings).map((finding) => {
    const { link, severity, title, advice } = FINDINGS[finding.code];
    return { ...finding, link, severity, title, advice };
  });
}
