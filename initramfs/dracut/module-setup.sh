#!/bin/bash
# dracut: puts into the image what opens the EVM key (installed as /usr/lib/dracut/modules.d/97assay/module-setup.sh).
check() {
    [ -d "$dracutsysrootdir/etc/assay/evm" ] && require_binaries keyctl
}
depends() {
    return 0
}
installkernel() {
    hostonly='' instmods encrypted-keys trusted tpm_crb tpm_tis xhci_pci ehci_pci usb_storage uas sd_mod vfat nls_cp437 nls_ascii ext4
}
install() {
    inst_multiple keyctl sha256sum grep tr mktemp stty sleep tail cat rm mkdir mount umount
    inst_multiple -o findfs argon2 tpm2_load tpm2_startauthsession tpm2_policypcr tpm2_policyor tpm2_policyauthvalue tpm2_unseal tpm2_flushcontext
    # Loaded by name, so that nothing links to them: for the TPM's device, and by pthread_exit(3) for argon2's threads.
    inst_libdir_file "libtss2-tcti-device.so.0" "libgcc_s.so.1"
    inst_multiple -o /etc/keys/x509_evm.der /etc/keys/x509_ima.der
    # The key itself stays on the root file system: it is sealed to this image, and cannot be in it.
    mkdir -p "$initdir/etc/assay"
    for slot in "$dracutsysrootdir"/etc/assay/evm/*-*; do cat "$slot/fingerprint" && echo; done >"$initdir/etc/assay/evm.masters"
    inst_script /usr/lib/assay/open-evm-key
    inst_hook pre-pivot 50 "$moddir/open.sh"
}
