import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseMaps } from './maps.ts';
import { fileSystemsWithPrograms } from './mounts.ts';

test('only executable mappings of files are taken, with the names of their links', () => {
  const text = [
    '00400000-00b6f000 r--p 00000000 fe:00 260689                             /usr/bin/node',
    '00b6f000-00b71000 r-xp 0076f000 fe:00 260689                             /usr/bin/node',
    '7f294b1ab000-7f294b1b4000 rwxp 00000000 00:00 0 ',
    '7fff0a5f0000-7fff0a5f2000 r-xp 00000000 00:00 0                          [vdso]',
    '7f0000000000-7f0000001000 r-xs 00000000 00:01 1027                       /memfd:jit (deleted)',
    '7f0000002000-7f0000003000 r-xp 00000000 fe:00 9                          /tmp/new\\012line and spaces (deleted)',
    '7f0000004000-7f0000005000 r-xp 00000000 00:0f 12                         anon_inode:[perf_event]',
  ].join('\n');
  assert.deepEqual(parseMaps(text), [
    { range: 'b6f000-b71000', isShared: false, file: 'fe:00:260689', name: '/usr/bin/node' },
    { range: '7f0000000000-7f0000001000', isShared: true, file: '00:01:1027', name: '/memfd:jit (deleted)' },
    {
      range: '7f0000002000-7f0000003000',
      isShared: false,
      file: 'fe:00:9',
      name: '/tmp/new\nline and spaces (deleted)',
    },
  ]);
});

test('this process maps the program that it runs', () => {
  const names = parseMaps(readFileSync('/proc/self/maps', 'latin1')).map((one) => one.name);
  assert.ok(names.includes(process.execPath), names.join('\n'));
});

test('each mount that can hold programs is there once, blanks in its path restored', () => {
  const text = [
    '22 27 0:21 / /proc rw,relatime - proc proc rw',
    '27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw',
    '60 27 0:50 / /mnt/a\\040b rw,relatime shared:1 master:2 - tmpfs tmpfs rw',
    '61 27 0:51 / /- rw - fuse.sshfs x rw',
    'nonsense',
  ].join('\n');
  assert.deepEqual(fileSystemsWithPrograms(text), [
    { device: '254:0', path: '/', type: 'ext4' },
    { device: '0:50', path: '/mnt/a b', type: 'tmpfs' },
    { device: '0:51', path: '/-', type: 'fuse.sshfs' },
  ]);
});

test('any text gives mappings and mounts or none', () => {
  const letters = fc.constantFrom(...'0123456789abcdef-rwxsp :/\\\n()del');
  fc.assert(
    fc.property(fc.string({ unit: letters, maxLength: 300 }), (text) => {
      parseMaps(text);
      fileSystemsWithPrograms(text);
    }),
  );
});
