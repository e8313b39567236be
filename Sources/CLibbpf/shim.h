/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CLIBBPF_SHIM_H
#define WEIR_CLIBBPF_SHIM_H
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#endif
