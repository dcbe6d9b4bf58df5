import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EvmctlError } from './error.ts';
import { getopt, type OptionSpec } from './getopt.ts';
import { parseCall } from './options.ts';

const SPECS: readonly OptionSpec<'key' | 'keyid' | 'pass' | 'verbose'>[] = [
  { name: 'key', short: 'k', argument: 'required' },
  { name: 'keyid', argument: 'required' },
  { name: 'pass', short: 'p', argument: 'optional' },
  { name: 'verbose', short: 'v', argument: 'none' },
];

const parse = (line: string) => getopt(line === '' ? [] : line.split(' '), SPECS);
const option = (name: string, value?: string) => ({ name, value });

test('an argument may be attached, follow, or stand behind =', () => {
  for (const line of ['-kfile', '-k file', '--key file', '--key=file']) {
    assert.deepEqual(parse(line).options, [option('key', 'file')], line);
  }
});

test('letters may be joined, the last with its argument', () => {
  assert.deepEqual(parse('-vvkfile').options, [option('verbose'), option('verbose'), option('key', 'file')]);
});

test('an optional argument is only ever attached', () => {
  assert.deepEqual(parse('-p secret'), { options: [option('pass')], operands: ['secret'] });
  assert.deepEqual(parse('-psecret').options, [option('pass', 'secret')]);
  assert.deepEqual(parse('--pass=secret').options, [option('pass', 'secret')]);
  assert.deepEqual(parse('--pass secret'), { options: [option('pass')], operands: ['secret'] });
});

test('options stand before and after operands; what follows -- is an operand; a lone - is one', () => {
  assert.deepEqual(parse('sign -v file -- -k'), { options: [option('verbose')], operands: ['sign', 'file', '-k'] });
  assert.deepEqual(parse('- -v').operands, ['-']);
});

test('a long name may be shortened while it is one name only; an exact name wins', () => {
  assert.deepEqual(parse('--verb').options, [option('verbose')]);
  assert.deepEqual(parse('--key x').options, [option('key', 'x')]);
  assert.deepEqual(parse('--keyi 1').options, [option('keyid', '1')]);
  assert.throws(() => parse('--ke x'), /ambiguous: --key, --keyid/);
});

test('what is unknown, or lacks its argument, is said', () => {
  assert.throws(() => parse('--what'), /'--what' is not known/);
  assert.throws(() => parse('-x'), /'-x' is not known/);
  assert.throws(() => parse('-k'), /'-k' needs an argument/);
  assert.throws(() => parse('--verbose=1'), /takes no argument/);
});

test('any arguments are parsed or refused as usage', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.constantFrom('--uuid=', '-u', '--mode', '--keyid', '-a', '--ino'))),
      (args) => {
        try {
          parseCall(args);
        } catch (error) {
          assert.ok(error instanceof EvmctlError || (error instanceof Error && 'code' in error));
        }
      },
    ),
  );
});

test('numbers, hex, UUIDs and key ids that are none are refused, with the option', () => {
  for (const line of [
    '--uid x',
    '--uid -1',
    '--inode 99999999999999999999',
    '--ima 0g',
    '--uuid=12',
    '--mode 99999999',
  ]) {
    assert.throws(() => parseCall(line.split(' ')), /--(uid|inode|ima|uuid|mode) /, line);
  }
  for (const id of ['0', 'zz', '123456789']) assert.throws(() => parseCall(['--keyid', id]), /key ?id/, id);
  for (const name of ['SHA1', 'sha512-224', 'unknown'])
    assert.throws(() => parseCall(['-a', name]), /Unknown hash algo/);
});

test('an empty --uuid leaves the UUID out, and so does one without a value', () => {
  for (const arg of ['--uuid', '--uuid=', '-u']) assert.equal(parseCall([arg]).options.overrides.uuid, 'none');
  const uuid = '01234567-89ab-cdef-0123-456789abcdef';
  assert.deepEqual(
    parseCall([`-u${uuid}`]).options.overrides.uuid,
    Buffer.from('0123456789abcdef0123456789abcdef', 'hex'),
  );
});
