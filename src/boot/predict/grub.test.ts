import assert from 'node:assert/strict';
import { test } from 'node:test';
import { followGrub, type GrubBoot, type GrubDisk } from './grub.ts';

const DEVICE = '(hd0,gpt1)';

function disk(files: Readonly<Record<string, string>>): GrubDisk {
  return {
    device: DEVICE,
    uuid: 'AAAA-BBBB',
    file: (path) => (files[path] === undefined ? undefined : { name: path, bytes: Buffer.from(files[path]) }),
    isDirectory: (path) => Object.keys(files).some((name) => name.startsWith(`${path}/`)),
  };
}

function follow(text: string, files: Readonly<Record<string, string>> = {}): GrubBoot {
  const all = { '/vmlinuz': 'kernel', '/initrd.img': 'initrd', '/EFI/debian/x': '', ...files };
  return followGrub({ prefix: '/EFI/debian', configuration: { name: 'grub.cfg', text } }, [disk(all)], DEVICE);
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
  assert.throws(() => follow(`set default=9\n${two}`), /names no menu entry/);
});

test('another configuration file is measured and run; its disk is found by UUID', () => {
  const main = 'search.fs_uuid aaaa-bbbb root\nset prefix=($root)/boot\nsource $prefix/grub.cfg\n';
  const boot = follow(main, { '/boot/grub.cfg': `set timeout=0\n${ENTRY}` });
  assert.deepEqual(measured(boot, 9), [`${DEVICE}/boot/grub.cfg`, '/vmlinuz', '/initrd.img']);
});

test('functions run where they are called', () => {
  const boot = follow(`function f {\n  set timeout=1\n}\nf\n${ENTRY}`);
  assert.deepEqual(measured(boot, 8).slice(0, 2), ['grub_cmd: f', 'grub_cmd: set timeout=1']);
});

const REFUSED: readonly (readonly [text: string, line: number, why: RegExp])[] = [
  ['set timeout=0\nload_env\n', 2, /load_env/],
  ['\n\nfor i in a; do echo; done\n', 3, /'for'/],
  ['if ! [ -e /x ]; then echo; fi\n', 1, /'!'/],
  ['if [ a -nt b ]; then echo; fi\n', 1, /test/],
  ['echo *\n', 1, /expand/],
  ['echo $1\n', 1, /variable/],
  ['echo $cmdpath\n', 1, /cmdpath/],
  ['search --file /x\n', 1, /search/],
  ['search.fs_uuid 0000-0000 root\n', 1, /UUID/],
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
