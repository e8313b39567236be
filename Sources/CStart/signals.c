/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE

#include "start.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

static volatile sig_atomic_t caught;
static volatile sig_atomic_t is_awaited;
/* The handler reads it only where its first byte is not 0, which is written last and cleared first. */
static char unfinished[4096];

static void end(int number)
{
	if (is_awaited && !caught) { /* a second one does not wait */
		caught = number;
		return;
	}
	if (unfinished[0])
		unlink(unfinished);
	signal(number, SIG_DFL);
	raise(number);
}

/* A signal that our parent has us ignore, as nohup does, stays ignored. */
static void listen_to(int number)
{
	struct sigaction action = {.sa_handler = end}, before;

	sigemptyset(&action.sa_mask);
	if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
		sigaction(number, &action, NULL);
}

int weir_remove_at_signal(const char *path)
{
	size_t length = path ? strlen(path) : 0;

	unfinished[0] = 0;
	if (!length)
		return 0;
	if (length >= sizeof(unfinished))
		return -1;
	memcpy(unfinished + 1, path + 1, length);
	unfinished[0] = path[0];
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		listen_to(signals[i]);
	return 0;
}

void weir_await_signals(void)
{
	is_awaited = 1;
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		listen_to(signals[i]);
}

int weir_awaited_signal(void)
{
	return caught;
}
