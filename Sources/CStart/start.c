/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* setenv */

#include "start.h"

#include <stdlib.h>
#include <unistd.h>

static char **arguments;
static int argument_count;

/*
 * Before every other constructor. glibc hands them the arguments of main, which Swift takes from /proc/self/cmdline. To
 * find the program that prints backtraces the runtime of a static executable asks /proc/self/exe where it lies and
 * aborts without an answer, unless SWIFT_ROOT says where to look; there is no such program then, and no backtrace.
 */
__attribute__((constructor(101))) static void before_swift(int count, char **values)
{
	argument_count = count;
	arguments = values;
	if (access("/proc/self/exe", F_OK))
		setenv("SWIFT_ROOT", "/", 0);
}

const char *weir_argument(int index)
{
	return index >= 0 && index < argument_count ? arguments[index] : NULL;
}
