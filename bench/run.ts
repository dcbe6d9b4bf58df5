/** Runs every benchmark of this folder, or those that are named: `npm run bench -- verify ima`. */
import { readdirSync } from 'node:fs';

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && !file.includes('-') && file !== 'run.ts')
  .map((file) => file.slice(0, -'.ts'.length));
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`no benchmark '${unknown.join(', ')}'; there are ${names.join(', ')}\n`);
  process.exit(2);
}
for (const name of wanted.length > 0 ? wanted : names) {
  process.stdout.write(`\n# ${name}\n`);
  const bench: unknown = await import(`./${name}.ts`);
  if (typeof bench === 'object' && bench !== null && 'run' in bench && typeof bench.run === 'function')
    await bench.run();
  else throw new Error(`bench/${name}.ts exports no run()`);
}
