/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this target share: asking the kernel, growing lists, messages that wait to be sent. */
#ifndef WEIR_CLIBNL_INTERNAL_H
#define WEIR_CLIBNL_INTERNAL_H

/* Stands before the first header of any file. */
#define _GNU_SOURCE

#include "clibnl.h"

#include <netlink/msg.h>
#include <netlink/netlink.h>

/* A growing array of fixed-size elements. */
struct list {
	void *elements;
	size_t count, room, size;
	int error;
};

/* A zeroed element; NULL, with the list's error, where there is no room. */
void *weir_nl_append(struct list *list);

/* The list's elements to the caller, or nothing where there was an error; which it returns. */
int weir_nl_hand_over(int error, struct list *list, void **elements, size_t *count);

typedef int (*weir_nl_parse)(struct nlmsghdr *, void *);

struct reply {
	weir_nl_parse parse; /* NULL: nothing but an acknowledgement is expected */
	void *context;
	uint32_t sequence; /* messages of another one are passed over */
	int seen;
	int interrupted;
};

/*
 * Reads the messages of one datagram. 1: that was the last; 0: more are to come; else a negative errno: the kernel's,
 * also inside NLMSG_DONE, EAGAIN for a dump that something changed meanwhile, or that of `parse`.
 */
int weir_nl_walk(void *bytes, size_t length, struct reply *reply);

/* Sends the message, frees it and parses what comes back. The number of messages, or a negative errno. */
int weir_nl_ask(int protocol, struct nl_msg *message, weir_nl_parse parse, void *context);

/* Dumps a table of rtnetlink: `parse` appends to the list. Again where the kernel changed something meanwhile. */
int weir_nl_dump(int type, const void *body, size_t size, weir_nl_parse parse, struct list *list);

/* A change that is to be acknowledged; NULL: no memory. */
struct nl_msg *weir_nl_change(int type, int flags, const void *body, size_t size);

/* Puts a finished message behind the others, and frees it. `failed`: it could not be finished for want of room. */
int weir_nl_enqueue(struct weir_nl_messages *messages, struct nl_msg *message, int failed);

/* A request to a WireGuard device, as far as its name; NULL: no memory. */
struct nl_msg *weir_wg_request(uint16_t family, int command, int flags, const char *name);

#endif
