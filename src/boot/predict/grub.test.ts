import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { followGrub, type GrubBoot, grubEntries } from './grub.ts';
import type { GrubDisk } from './grub-disk.ts';
import type { GrubImage } from './grub-image.ts';
import type { GrubOptions } from './grub-reader.ts';

const DEVICE = '(hd0,gpt1)';
const PREFIX = `${DEVICE}/EFI/debian`;

function disk(files: Readonly<Record<string, string>>): GrubDisk {
  return {
    device: DEVICE,
    uuid: 'AAAA-BBBB',
    file: (path) => (files[path] === undefined ? undefined : { name: path, bytes: Buffer.from(files[path], 'latin1') }),
    isDirectory: (path) => Object.keys(files).some((name) => name.startsWith(`${path}/`)),
  };
}

const MODULES =
  'tpm test true normal configfile echo sleep search search_fs_uuid loadenv boot font gfxterm gfxterm_background png gettext terminal linux linuxefi';
const image = (text: string): GrubImage => ({
  prefix: '/EFI/debian',
  configuration: { name: 'grub.cfg', text },
  modules: new Set(MODULES.split(' ')),
  version: '2.06',
  memdiskFile: (path) => (path === '/fonts/unicode.pf2' ? Buffer.from('font') : undefined),
});
const FILES = { '/vmlinuz': 'kernel', '/initrd.img': 'initrd', '/EFI/debian/x': '' };

function follow(
  text: string,
  files: Readonly<Record<string, string>> = {},
  options: GrubOptions = { isSecureBoot: true },
): GrubBoot {
  return followGrub(image(text), [disk({ ...FILES, ...files })], DEVICE, options);
}

const measured = ({ measurements }: GrubBoot, pcr: number): string[] =>
  measurements.filter((measurement) => measurement.pcr === pcr).map(({ what }) => what);

const ENTRY = "menuentry 'One' --class x {\n  linux /vmlinuz quiet\n  initrd /initrd.img\n}\n";

test('commands are measured as they are run, variables filled in, blocks as they are written', () => {
  const boot = follow(`set timeout=0\nset a='b c'\nif [ "$a" = "b c" ]; then echo $a; else echo no; fi\n${ENTRY}`);
  assert.deepEqual(measured(boot, 8), [
    'grub_cmd: set timeout=0',
    'grub_cmd: set a=b c',
    'grub_cmd: [ b c = b c ]',
    'grub_cmd: echo b c',
    'grub_cmd: menuentry One --class x {\n  linux /vmlinuz quiet\n  initrd /initrd.img\n}',
    'grub_cmd: setparams One',
    'grub_cmd: linux /vmlinuz quiet',
    'kernel_cmdline: /vmlinuz quiet',
    'grub_cmd: initrd /initrd.img',
  ]);
  assert.deepEqual(measured(boot, 9), ['/vmlinuz', '/initrd.img']);
  assert.deepEqual(boot.warnings, []);
});

test('the default entry is found by number, title and id, and a menu that waits is said', () => {
  const two = `${ENTRY}menuentry Two --id second {\n linux /vmlinuz two\n}\n`;
  for (const wanted of ['1', 'Two', 'second']) {
    const boot = follow(`set default=${wanted}\n${two}`);
    assert.ok(measured(boot, 8).includes('kernel_cmdline: /vmlinuz two'));
    assert.equal(boot.warnings.length, 1);
  }
  const first = follow(`set timeout=5\nset default=9\n${two}`);
  assert.deepEqual(first.titles, ['One']);
  assert.match(first.warnings.join(), /'9' names no menu entry: GRUB takes the first, 'One'/);
});

const NESTED = `set timeout=1\n${ENTRY}submenu More --id more {\n menuentry Two --id second {\n  linux /vmlinuz two $chosen\n }\n menuentry Three {\n  linux /vmlinuz three\n }\n}\n`;

test('an entry of a submenu is found by default or by what is asked for, and each can be listed', () => {
  for (const [text, entry] of [
    [`set default='more>second'\n${NESTED}`, undefined],
    [`set default=1\n${NESTED}`, undefined],
    [NESTED, '1>0'],
    [NESTED, 'More>second'],
  ] as const) {
    const boot = follow(text, {}, { isSecureBoot: true, ...(entry === undefined ? {} : { entry }) });
    assert.deepEqual(boot.titles, ['More', 'Two']);
    assert.ok(measured(boot, 8).includes('kernel_cmdline: /vmlinuz two more>second'));
  }
  assert.deepEqual(grubEntries(image(NESTED), [disk(FILES)], DEVICE, {}), [
    { entry: '0', titles: ['One'] },
    { entry: '1>0', titles: ['More', 'Two'] },
    { entry: '1>1', titles: ['More', 'Three'] },
  ]);
  assert.throws(() => follow(NESTED, {}, { entry: '1' }), /is a submenu/);
  assert.throws(() => follow(NESTED, {}, { entry: '1>7' }), /no menu entry '7'/);
});

test('the saved entry is taken from the environment block, which is measured each time that it is opened', () => {
  const grubenv = '# GRUB Environment Block\nsaved_entry=Two\nother=a\\\\b\n######';
  const text =
    'if [ -s $prefix/grubenv ]; then load_env; fi\nset default="$saved_entry"\necho "$other"\nsave_env default\n';
  const boot = follow(`${text}set timeout=1\n${ENTRY}menuentry Two {\n linux /vmlinuz two\n}\n`, {
    '/EFI/debian/grubenv': grubenv,
  });
  assert.deepEqual(measured(boot, 9), [`${PREFIX}/grubenv`, `${PREFIX}/grubenv`, '/vmlinuz']);
  assert.ok(measured(boot, 8).includes('grub_cmd: echo a\\b'));
  assert.deepEqual(boot.titles, ['Two']);
});

test('a configuration of its own sees what was exported, and its menu boots', () => {
  const main = `set a=1\nset b=2\nexport b\nconfigfile /other.cfg\n`;
  const boot = follow(main, { '/other.cfg': `echo "$a" "$b" "$config_directory"\nset timeout=1\n${ENTRY}` });
  assert.ok(measured(boot, 8).includes(`grub_cmd: echo  2 ${DEVICE}`));
  assert.deepEqual(measured(boot, 9).slice(0, 1), ['/other.cfg']);
});

test('a new prefix has the lists of modules read, a language its catalog', () => {
  const list = (name: string): string => `/boot/grub/x86_64-efi/${name}.lst`;
  const files = { [list('command')]: 'x: y\n', [list('terminal')]: '', '/boot/grub/locale/de.mo': '\xde\x12\x04\x95' };
  const text = `set prefix=($root)/boot/grub\nset lang=de_DE\nset timeout=1\n${ENTRY}`;
  assert.deepEqual(measured(follow(text, files), 9), [
    ...['command', 'terminal'].map((name) => `${DEVICE}${list(name)}`),
    `${DEVICE}/boot/grub/locale/de.mo`,
    '/vmlinuz',
    '/initrd.img',
  ]);
});

test('modules and fonts of the disk are measured, and taken without Secure Boot alone', () => {
  const text = `insmod hello\nif loadfont /font.pf2; then echo yes; else echo no; fi\nloadfont unicode\nset timeout=1\n${ENTRY}`;
  const files = { '/EFI/debian/x86_64-efi/hello.mod': 'module', '/font.pf2': 'FILE\0\0\0\x04PFF2' };
  for (const isSecureBoot of [true, false]) {
    const boot = follow(text, files, { isSecureBoot });
    assert.deepEqual(measured(boot, 9).slice(0, 2), [`${PREFIX}/x86_64-efi/hello.mod`, '/font.pf2']);
    assert.equal(measured(boot, 8).includes('grub_cmd: echo yes'), !isSecureBoot);
  }
  assert.throws(() => follow(text, files, {}), /whether Secure Boot is on decides/);
});

test('a picture is read where the screen is in a graphics mode, for which the firmware has to have a display', () => {
  const text = `if background_image /a.png; then echo yes; fi\nset timeout=1\n${ENTRY}`;
  const graphical = `terminal_output gfxterm\n${text}`;
  const files = { '/a.png': '\x89PNG' };
  assert.deepEqual(measured(follow(graphical, files, { hasDisplay: true }), 9)[0], '/a.png');
  assert.deepEqual(measured(follow(graphical, files, { hasDisplay: false }), 9)[0], '/vmlinuz');
  assert.throws(() => follow(graphical, files), /display/);
  for (const unread of [text, graphical.replace('a.png', 'a.bmp'), graphical.replace('gfxterm', 'console')])
    assert.deepEqual(measured(follow(unread, { ...files, '/a.bmp': '' }), 9)[0], '/vmlinuz');
});

test('a block is measured without lines that begin with a comment, a negated condition with its mark', () => {
  const boot = follow(
    `if ! false; then set timeout=1; fi\nmenuentry x {\n# away\n  # stays\n  linux /vmlinuz "$1"\n}\n`,
  );
  assert.ok(measured(boot, 8).includes('grub_cmd: ! false'));
  assert.ok(measured(boot, 8).includes('grub_cmd: menuentry x {\n  # stays\n  linux /vmlinuz "$1"\n}'));
  assert.ok(measured(boot, 8).includes('kernel_cmdline: /vmlinuz x'));
});

test('another configuration file is measured and run; its disk is found by UUID', () => {
  const main = 'search.fs_uuid aaaa-bbbb root\nset prefix=($root)/boot\nsource $prefix/grub.cfg\n';
  const boot = follow(main, { '/boot/grub.cfg': `set timeout=0\n${ENTRY}` });
  assert.deepEqual(measured(boot, 9), [`${DEVICE}/boot/grub.cfg`, '/vmlinuz', '/initrd.img']);
});

test('functions run where they are called', () => {
  const boot = follow(`function f {\n  set timeout=1\n}\nf\n${ENTRY}`);
  assert.deepEqual(measured(boot, 8).slice(0, 2), ['grub_cmd: f', 'grub_cmd: set timeout=1']);
  const given = follow(`function f {\n  set a="${'$'}{2}$#"\n}\nf x y\nset timeout=1\n${ENTRY}`);
  assert.deepEqual(measured(given, 8).slice(0, 2), ['grub_cmd: f x y', 'grub_cmd: set a=y2']);
});

const REFUSED: readonly (readonly [text: string, line: number, why: RegExp])[] = [
  ['set timeout=0\nregexp a b\n', 2, /regexp/],
  ['load_env -f /x\n', 1, /load_env/],
  ['\n\nfor i in a; do echo; done\n', 3, /'for'/],
  ['if [ a -nt b ]; then echo; fi\n', 1, /test/],
  ['echo *\n', 1, /expand/],
  ["set a='*'\necho $a\n", 2, /expand/],
  ['echo $@\n', 1, /'\$@'/],
  ['echo $cmdpath\n', 1, /cmdpath/],
  ['echo $net_default_ip\n', 1, /net_default_ip/],
  ['loadfont none\necho $?\n', 2, /error number/],
  ['search --file /x\n', 1, /search/],
  ['search.fs_uuid 0000-0000 root\n', 1, /UUID/],
  ['terminal_output morse\n', 1, /morse/],
  ['serial\n', 1, /module serial/],
  [`set a=0123456789abcdef\n${'set a=$a$a\n'.repeat(40)}`, 18, /letters/],
  ['set theme=/x\n', 1, /theme/],
  ['source /missing.cfg\n', 1, /not there/],
  ['echo "open\n', 6, /quotation/],
  ['linux /missing\n', 1, /not there/],
  ['set root=hd9\nsource /x.cfg\n', 2, /hd9/],
];

test('what is not followed for certain is refused with file and line', () => {
  for (const [text, line, why] of REFUSED) {
    assert.throws(
      () => follow(text + ENTRY),
      (error) =>
        error instanceof Error &&
        'code' in error &&
        error.code === 'boot.not-predictable' &&
        error.message.includes(`grub.cfg, line ${line}:`) &&
        why.test(error.message),
      text,
    );
  }
});

test('files that read one another, and blocks in blocks, have a bound', () => {
  assert.throws(() => follow('source /a.cfg\n', { '/a.cfg': 'source /a.cfg\n' }), { code: 'boot.not-predictable' });
  assert.throws(() => follow('menuentry a {'.repeat(100_000)), { code: 'boot.not-predictable' });
});

test('a search without a hint is followed until GRUB knows modules for other file systems', () => {
  const files = { '/boot/grub/x86_64-efi/fs.lst': 'zfs\n' };
  const [plain, prefix] = ['search --no-floppy --fs-uuid --set=root AAAA-BBBB', 'set prefix=/boot/grub'];
  const hinted = plain.replace('--set', '--hint-bios=hd9 --hint-efi=hd0,gpt1 --hint hd8 --set');
  for (const text of [`${plain}\n${prefix}`, `${prefix}\n${hinted}`])
    assert.deepEqual(follow(`${text}\nset timeout=1\n${ENTRY}`, files).titles, ['One']);
  assert.throws(
    () => follow(`${prefix}\n${plain}\n${ENTRY}`, files),
    /line 2: this search has no hint for \(hd0,gpt1\)/,
  );
});

const PIECES = [
  ...[
    'set a=$a$b',
    'if ',
    'then',
    'elif',
    'else',
    'fi',
    '\n',
    ';',
    '{',
    '}',
    "'",
    '"',
    '\\',
    '#',
    '$',
    '${',
    '!',
    '&&',
  ],
  ...[
    'menuentry x {',
    'submenu y {',
    'function f {',
    'f',
    '[ -s /grubenv ]',
    '[ a = b ]',
    'configfile /c.cfg',
    'linux /vmlinuz',
  ],
  ...[
    'export a',
    'load_env',
    'insmod zfs',
    'set default=',
    'set prefix=/b',
    'unset a',
    'search.fs_uuid AAAA-BBBB a',
    ' ',
    'boot',
  ],
];

test('any script gives a boot or a refusal', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...PIECES), { maxLength: 40 }), (pieces) => {
      try {
        follow(pieces.join(' '), { '/c.cfg': `f\n${ENTRY}` });
      } catch (error) {
        assert.ok(error instanceof Error && 'code' in error && error.code === 'boot.not-predictable', `${error}`);
      }
    }),
    { numRuns: 300 },
  );
});

test('a configuration that grows without an end, or that reads without an end, is refused and not followed', () => {
  const doubled = `set a=xxxxxxxx\n${'set a=$a$a\n'.repeat(16)}`;
  assert.throws(
    () => follow(`${doubled}${'echo $a\n'.repeat(2000)}${ENTRY}`),
    /commands of more than 67108864 letters/,
  );
  assert.throws(() => follow(`function f { f; }\nf\n${ENTRY}`), /without an end/);
  assert.throws(() => follow(`source /a\n${ENTRY}`, { '/a': 'source /a\n' }), /without an end/);
  const twice = 'function a { true; true; }\n';
  const fans = Array.from({ length: 12 }, (_, i) =>
    `function f${i} { ${i === 0 ? 'a' : `f${i - 1}`}; `.concat(`${i === 0 ? 'a' : `f${i - 1}`}; }\n`),
  );
  assert.throws(() => follow(`${twice}${fans.join('')}${'f11\n'.repeat(8)}${ENTRY}`), /more than 20000 commands/);
  const large = `#${'x'.repeat(1 << 20)}\n`;
  assert.throws(
    () => follow(`${'source /large\n'.repeat(20)}${ENTRY}`, { '/large': large }),
    /letters of configuration/,
  );
  const many = `initrd ${'/initrd.img '.repeat(11_000)}`;
  assert.throws(() => follow(`menuentry x {\n linux /vmlinuz\n ${many}\n}\n`), /more than 10000 files/);
  assert.throws(
    () => follow(`menuentry x {\n linux /vmlinuz ${'x'.repeat(3000)}\n}\n`),
    /of which a kernel takes 2047/,
  );
  assert.throws(() => follow(`${'if true; then '.repeat(40)}${ENTRY}`), /nested too deeply/);
  const quoted = follow(`set a=b\necho "${'x'.repeat(200_000)}"\necho "${'$a'.repeat(200_000)}"\n${ENTRY}`);
  assert.equal(measured(quoted, 8)[1]?.length, 'grub_cmd: echo '.length + 200_000);
});
