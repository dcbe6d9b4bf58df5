/**
 * Queries that every attestation runs: built and compiled once, then only bound. kysely builds a tree for each query,
 * checks and prints it; for these that would cost more than SQLite's own work.
 */
import { type Compilable, type CompiledQuery, type QueryResult, type RawBuilder, sql } from 'kysely';
import type { Db } from './store.ts';

/** Stands in a compiled query for the value of this name. */
class Parameter {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** Gives the place of a value within the query that is being built. */
export type ParameterOf<P> = <K extends keyof P & string>(name: K) => RawBuilder<P[K]>;

/**
 * A query over parameters `P`, compiled at its first use. A process speaks one dialect of SQL, so the first connection's
 * is everyone's.
 */
export function compiled<P extends object, Row>(
  build: (db: Db, parameter: ParameterOf<P>) => Compilable<Row>,
): (db: Db, values: P) => Promise<QueryResult<Row>> {
  let query: CompiledQuery<Row> | undefined;
  return (db, values) => {
    query ??= build(db, (name) => sql`${new Parameter(name)}`).compile();
    return db.executeQuery({ ...query, parameters: bound(query.parameters, values) });
  };
}

function bound(parameters: readonly unknown[], values: object): unknown[] {
  const byName: Readonly<Record<string, unknown>> = { ...values };
  return parameters.map((parameter) => (parameter instanceof Parameter ? byName[parameter.name] : parameter));
}
