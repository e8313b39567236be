/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEIR_CBENCH_CALL_H
#define WEIR_CBENCH_CALL_H

#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int checked(long result)
{
	return result < 0 ? -errno : (int)result;
}

static inline int bpf(int command, union bpf_attr *attributes)
{
	return checked(syscall(SYS_bpf, command, attributes, sizeof(*attributes)));
}

#endif
