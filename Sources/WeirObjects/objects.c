/* SPDX-License-Identifier: Apache-2.0 */
#include "weir_objects.h"

/* The compiler lists these files as dependencies, so that a new object rebuilds this. */
_Alignas(8) static const unsigned char object[] = {
#embed "../../bpf/prebuilt/weir.bpf.o"
};
_Alignas(8) static const unsigned char quarantine[] = {
#embed "../../bpf/prebuilt/weir_quarantine.bpf.o"
};
static const unsigned char manifest[] = {
#embed "../../bpf/prebuilt/manifest.json"
};

const unsigned char *weir_object_bytes(void) { return object; }
unsigned long weir_object_size(void) { return sizeof(object); }
const unsigned char *weir_quarantine_bytes(void) { return quarantine; }
unsigned long weir_quarantine_size(void) { return sizeof(quarantine); }
const unsigned char *weir_manifest_bytes(void) { return manifest; }
unsigned long weir_manifest_size(void) { return sizeof(manifest); }
