import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Command } from 'commander';
import { buildProgram, NOUN_NAMES } from './program.ts';

const MAIN = join(import.meta.dirname, 'main.ts');

function assay(...args: readonly string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
}

function* walk(command: Command, path: string): Generator<{ path: string; command: Command }> {
  yield { path, command };
  for (const below of command.commands) yield* walk(below, `${path} ${below.name()}`);
}

function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => (text += part) });
  command.outputHelp();
  return text;
}

test('every command’s help has an example and no default that only a program can read; every verb takes --json', async () => {
  const program = await buildProgram(NOUN_NAMES);
  const commands = [...walk(program, 'assay')];
  assert.ok(commands.length > NOUN_NAMES.length + 5);
  for (const { path, command } of commands) {
    const help = helpOf(command);
    assert.match(help, /\nExamples?:\n {2}.*\bassay /, `${path} --help`);
    assert.doesNotMatch(help, /\(default: [[{]/, `${path} --help`);
    const takesJson = command.options.some(({ long }) => long === '--json');
    // A noun that takes an argument is a verb too: assay label TREE
    const isVerb = command.commands.length === 0 || command.registeredArguments.length > 0;
    assert.equal(takesJson, isVerb, `${path} --json`);
  }
});

test('help before a command is its --help; a command that is not there is an error', () => {
  assert.equal(assay('help', 'tpm', 'quote').stdout, assay('tpm', 'quote', '--help').stdout);
  assert.match(assay('help', 'tpm', 'quote').stdout, /^Usage: assay tpm quote /);
  assert.equal(assay('help', 'tpm', 'nosuch').status, 2);
});

test('usage errors have one form, and with --json an object on standard output', () => {
  const wrong = [
    ['nosuch'],
    ['tpm', 'nosuch'],
    ['up', '--nosuch'],
    ['up', '--port', 'x'],
    ['server', 'run', '--port', 'x'],
    ['tpm', 'quote'],
    ['ima', 'check', '/dev/null'],
  ];
  for (const args of wrong) {
    const { status, stdout, stderr } = assay(...args, '--json');
    assert.equal(status, 2, args.join(' '));
    assert.match(stderr, /^assay: (?!error)[^\n]+; see `assay[a-z -]* --help`\n$/, args.join(' '));
    const { error } = JSON.parse(stdout);
    assert.deepEqual(Object.keys(error), ['code', 'message', 'advice']);
    assert.equal(error.code, 'usage');
  }
});

test('standard output that cannot be written is one line on stderr and exit 3', () => {
  const full = openSync('/dev/full', 'w');
  try {
    const { status, stderr } = spawnSync(process.execPath, [MAIN, 'help'], {
      encoding: 'utf8',
      stdio: ['ignore', full, 'pipe'],
    });
    assert.deepEqual([status, stderr], [3, 'assay: standard output cannot be written: the disk is full\n']);
  } finally {
    closeSync(full);
  }
});

test('a reference that is not there is said before the server makes or opens anything', () => {
  const { status, stderr } = assay('server', 'run', '--data', '/proc/assay', '--reference', '/nonexistent.json');
  assert.deepEqual(
    [status, stderr],
    [2, 'assay: /nonexistent.json: no such file or folder; look whether the name is right\n'],
  );
});

test('a folder in the place of a file is named', () => {
  const { status, stderr } = assay('ima', 'replay', '/tmp');
  assert.deepEqual([status, stderr], [2, 'assay: /tmp: is a folder, a file is needed; name a file in it\n']);
});

test('a command whose reader goes away ends in order: a software TPM saves its state, and nothing is left beside it', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'assay-epipe-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const tpm = join(folder, 'tpm');
  const line = `"${process.execPath}" "${MAIN}" tpm pcrs --tpm "software:${tpm}" | head -c 1`;
  for (let i = 0; i < 3; i++) assert.equal(spawnSync('sh', ['-c', line], { encoding: 'utf8' }).stdout, 's');
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.new')),
    [],
  );
});
