#!/bin/sh
# dracut: opens the EVM key when the root is mounted, before anything of it runs.
command -v die >/dev/null || . /lib/dracut-lib.sh

/usr/lib/assay/open-evm-key "$NEWROOT/etc/assay/evm"
opened=$?
if [ "$opened" != 0 ] && ! { [ "$opened" = 2 ] && getarg assay=optional >/dev/null; }; then
    # It halts the machine, where rd.shell is set after a shell; the unit that runs this does not mind its failing.
    (die "assay: the EVM key did not open; this machine does not start")
    while :; do sleep 60; done
fi
