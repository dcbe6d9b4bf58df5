#!/bin/sh
# dracut: opens the EVM key when the root is mounted, before anything of it runs.
command -v die >/dev/null || . /lib/dracut-lib.sh

/usr/lib/assay/open-evm-key "$NEWROOT/etc/assay/evm"
case $? in
0) ;;
2) getarg assay=optional >/dev/null || die "assay: the EVM key cannot be opened here" ;;
*) die "assay: the EVM key did not open; this machine does not start" ;;
esac
