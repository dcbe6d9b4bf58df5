#!/bin/bash
# dracut: puts into the image what opens the EVM key (installed as /usr/lib/dracut/modules.d/97assay/module-setup.sh).
check() {
    [ -d "$dracutsysrootdir/etc/assay/evm" ]
}
depends() {
    return 0
}
installkernel() {
    hostonly='' instmods encrypted-keys trusted tpm_crb tpm_tis xhci_pci ehci_pci usb_storage uas sd_mod vfat nls_cp437 nls_ascii ext4
}
install() {
    local slot certificate programs=(keyctl cat dd grep head mkdir mktemp mount od rm sha256sum sleep stty tail tr umount wc)
    compgen -G "$dracutsysrootdir/etc/assay/evm/*-password" >/dev/null && programs+=(argon2)
    compgen -G "$dracutsysrootdir/etc/assay/evm/*-usb" >/dev/null && programs+=(findfs)
    # An image without one of them would not start the machine: then rather the image that there is.
    require_binaries "${programs[@]}" || {
        dfatal "assay: the EVM key does not open at boot without these programs (packages keyutils and argon2)"
        exit 1
    }
    inst_multiple "${programs[@]}"
    # Loaded by name, so that nothing links to it: by pthread_exit(3), for argon2's threads.
    inst_libdir_file "libgcc_s.so.1"
    # The key itself stays on the root file system: it is sealed to this image, and cannot be in it.
    mkdir -p "$initdir/etc/assay"
    for slot in "$dracutsysrootdir"/etc/assay/evm/*-*; do cat "$slot/fingerprint" && echo; done >"$initdir/etc/assay/evm.masters"
    for certificate in /etc/keys/x509_{evm,ima}.der /etc/keys/{evm,ima}/*.der; do
        [[ -e $dracutsysrootdir$certificate ]] && inst_simple "$certificate"
    done
    inst_script /usr/lib/assay/open-evm-key
    inst_hook pre-pivot 50 "$moddir/open.sh"
}
