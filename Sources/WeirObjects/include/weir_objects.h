/* SPDX-License-Identifier: Apache-2.0 */
/* The prebuilt BPF object and its manifest, part of the executable: a node needs one file. */
#ifndef WEIR_OBJECTS_H
#define WEIR_OBJECTS_H

/* An ELF file, aligned to eight bytes; constant, and valid for the life of the process. */
const unsigned char *weir_object_bytes(void);
unsigned long weir_object_size(void);

/* JSON without a terminating zero: ABI version, toolchain, SHA-256 of the object and of its sources. */
const unsigned char *weir_manifest_bytes(void);
unsigned long weir_manifest_size(void);

#endif
