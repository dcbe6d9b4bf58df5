/** `assay key recover`: the key by its recovery code, where no other protector opens it. */
import type { Command } from 'commander';
import { toHex } from '../../bytes/index.ts';
import { openProtectedKey } from '../../keys/index.ts';
import { readPassword, SECRET_FORMS } from '../secret-source.ts';
import { printJson } from '../terminal.ts';
import { readProtectedKey } from './key-file.ts';
import { writeWhole } from './unseal.ts';

export function registerRecover(key: Command): void {
  key
    .command('recover')
    .description('Write the payload of a protected key, opened by its recovery code, to standard output')
    .argument('<file>', 'the key')
    .option('--code <source>', `where the code is: ${SECRET_FORMS}`, 'prompt')
    .option('--json', 'print {"payload"} in hexadecimal')
    .addHelpText('after', '\nExample:\n  assay key recover evm.key | keyctl padd user evm @u')
    .action(async (path: string, { code, json }: { readonly code: string; readonly json?: boolean }) => {
      const opened = readProtectedKey(path);
      const recoveryCode = await readPassword(code, 'recovery code');
      const { payload } = await openProtectedKey(opened, { recoveryCode });
      if (json === true) printJson({ payload: toHex(payload) });
      else writeWhole(payload);
    });
}
