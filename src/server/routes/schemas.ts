/** Schemas that several routes share; they are also what /api/openapi.json says. */
import Type from 'typebox';

export const RefusalBody = Type.Object({
  code: Type.String({ description: 'Stable; see docs/FINDINGS.md' }),
  message: Type.String(),
  advice: Type.Union([Type.String(), Type.Null()]),
});

export const VerdictBody = Type.Union([
  Type.Literal('trusted'),
  Type.Literal('warning'),
  Type.Literal('untrusted'),
  Type.Literal('unknown'),
]);

export const AssuranceBody = Type.Union([
  Type.Literal('hardware'),
  Type.Literal('swtpm'),
  Type.Literal('demonstration'),
]);

export const MeasurerBody = Type.Union([Type.Literal('kernel'), Type.Literal('user-space')]);

export const FindingBody = Type.Object({
  code: Type.String(),
  severity: Type.String({ description: 'info, warning, unknown or untrusted' }),
  link: Type.String({ description: 'tpm, firmware, kernel or files' }),
  title: Type.String(),
  subject: Type.String({ description: 'Raw: may hold any character' }),
  message: Type.String(),
  advice: Type.String(),
  position: Type.Optional(
    Type.Object(
      { log: Type.String(), index: Type.Integer(), pcr: Type.Integer() },
      { description: 'Where it was measured' },
    ),
  ),
  expected: Type.Optional(Type.String()),
  found: Type.Optional(Type.String()),
});

export const HostId = Type.String({ pattern: '^[0-9a-f]{32}$' });
/** An id that people choose. */
export const ReferenceId = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$' });

/** Milliseconds since the epoch. */
export const Milliseconds = Type.Integer({ description: 'Milliseconds since the epoch' });

export const orNull = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
