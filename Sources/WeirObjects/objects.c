/* SPDX-License-Identifier: Apache-2.0 */
#include "weir_objects.h"

/* The compiler lists both files as dependencies, so that a new object rebuilds this. */
_Alignas(8) static const unsigned char object[] = {
#embed "../../bpf/prebuilt/weir.bpf.o"
};
static const unsigned char manifest[] = {
#embed "../../bpf/prebuilt/manifest.json"
};

const unsigned char *weir_object_bytes(void) { return object; }
unsigned long weir_object_size(void) { return sizeof(object); }
const unsigned char *weir_manifest_bytes(void) { return manifest; }
unsigned long weir_manifest_size(void) { return sizeof(manifest); }
