/** A rule by its place, for people and for programs. */
import { formatRule, type PlacedRule } from '../ima/policy/index.ts';

/** `policy:12` */
export const placeOf = ({ source, line }: PlacedRule): string => `${source}:${line}`;

export const ruleJson = (placed: PlacedRule): object => ({
  source: placed.source,
  line: placed.line,
  text: formatRule(placed.rule),
});
