import Type from 'typebox';
import { REFUSALS } from '../../evidence/index.ts';
import { FINDINGS } from '../../verify/index.ts';
import type { App } from '../http/app.ts';

const FindingKindBody = Type.Object({
  code: Type.String(),
  link: Type.String(),
  severity: Type.String(),
  title: Type.String(),
  meaning: Type.String(),
  advice: Type.String(),
});

const RefusalKindBody = Type.Object({
  code: Type.String(),
  status: Type.Integer(),
  title: Type.String(),
  meaning: Type.String(),
  advice: Type.String(),
});

/** The tables of findings and refusals, as this server knows them. */
export function findingRoutes(app: App): void {
  const findings = Object.entries(FINDINGS).map(([code, kind]) => ({ code, ...kind }));
  const refusals = Object.entries(REFUSALS).map(([code, kind]) => ({ code, ...kind }));
  const response = {
    200: Type.Object({ findings: Type.Array(FindingKindBody), refusals: Type.Array(RefusalKindBody) }),
  };
  const schema = { summary: 'Every finding and refusal: meaning and advice', tags: ['findings'], response };
  app.get('/findings', { config: { access: 'viewer' }, schema }, async () => ({ findings, refusals }));
}
