/* SPDX-License-Identifier: Apache-2.0 */
/* The prebuilt BPF objects and their manifest, part of the executable: a node needs one file. */
#ifndef WEIR_OBJECTS_H
#define WEIR_OBJECTS_H

/* The datapath: an ELF file, aligned to eight bytes; constant, and valid for the life of the process. */
const unsigned char *weir_object_bytes(void);
unsigned long weir_object_size(void);

/* The quarantine, likewise. */
const unsigned char *weir_quarantine_bytes(void);
unsigned long weir_quarantine_size(void);

/* JSON without a terminating zero: ABI version, toolchain, SHA-256 of the objects and of their sources. */
const unsigned char *weir_manifest_bytes(void);
unsigned long weir_manifest_size(void);

#endif
