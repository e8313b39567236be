/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* libnl's error numbers are its own. */
static int errno_of(int nl_error)
{
	switch (-abs(nl_error)) {
	case -NLE_NOMEM: return -ENOMEM;
	case -NLE_PERM: return -EPERM;
	case -NLE_NOACCESS: return -EACCES;
	case -NLE_NODEV: return -ENODEV;
	case -NLE_OBJ_NOTFOUND: return -ENOENT;
	case -NLE_INVAL: return -EINVAL;
	case -NLE_OPNOTSUPP: return -EOPNOTSUPP;
	case -NLE_EXIST: return -EEXIST;
	case -NLE_AGAIN: return -EAGAIN;
	case -NLE_INTR: return -EINTR;
	case -NLE_BUSY: return -EBUSY;
	case -NLE_PROTO_MISMATCH: return -EPROTONOSUPPORT;
	case -NLE_AF_NOSUPPORT: return -EAFNOSUPPORT;
	default: return -EIO;
	}
}

static int open_socket(int protocol, struct nl_sock **out)
{
	struct nl_sock *socket = nl_socket_alloc();
	if (!socket)
		return -ENOMEM;
	int error = nl_connect(socket, protocol);
	if (error) {
		nl_socket_free(socket);
		return errno_of(error);
	}
	/* More than the kernel puts into one datagram of a dump: none is read twice, nor moved to a larger buffer. */
	nl_socket_set_msg_buf_size(socket, 1 << 16);
	*out = socket;
	return 0;
}

void *weir_nl_append(struct list *list)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 32;
		void *grown = realloc(list->elements, room * list->size);
		if (!grown) {
			list->error = -ENOMEM;
			return NULL;
		}
		list->elements = grown;
		list->room = room;
	}
	void *element = (char *)list->elements + list->count++ * list->size;
	memset(element, 0, list->size);
	return element;
}

int weir_nl_hand_over(int error, struct list *list, void **elements, size_t *count)
{
	if (!error)
		error = list->error;
	if (error) {
		free(list->elements);
		*list = (struct list){.size = list->size};
	}
	*elements = list->elements;
	*count = list->count;
	return error;
}

/* An errno as a message has it; no number of another kind is one. */
static int errno_in(int error) { return error >= -4095 && error < 0 ? error : -EBADMSG; }

int weir_nl_walk(void *bytes, size_t length, struct reply *reply)
{
	int rest = (int)length;
	for (struct nlmsghdr *header = bytes; nlmsg_ok(header, rest); header = nlmsg_next(header, &rest)) {
		if (header->nlmsg_seq != reply->sequence)
			continue;
		if (header->nlmsg_flags & NLM_F_DUMP_INTR)
			reply->interrupted = 1;
		int error = 0;
		switch (header->nlmsg_type) {
		case NLMSG_NOOP: continue;
		case NLMSG_OVERRUN: return -EAGAIN;
		case NLMSG_ERROR:
			if (!nlmsg_valid_hdr(header, sizeof(struct nlmsgerr)))
				return -EBADMSG;
			error = ((struct nlmsgerr *)nlmsg_data(header))->error;
			return error ? errno_in(error) : 1;
		case NLMSG_DONE:
			if (nlmsg_valid_hdr(header, sizeof(error)))
				memcpy(&error, nlmsg_data(header), sizeof(error));
			return error ? errno_in(error) : reply->interrupted ? -EAGAIN : 1;
		default:
			error = reply->parse ? reply->parse(header, reply->context) : -EBADMSG;
			if (error)
				return error;
			reply->seen++;
			if (!(header->nlmsg_flags & NLM_F_MULTI))
				return 1;
		}
	}
	return rest > 0 ? -EBADMSG : 0;
}

/* Reads datagrams until the answer is over. They are wiped: a device's private key is in what it says of itself. */
static int receive(struct nl_sock *socket, struct reply *reply)
{
	int over = 0;
	while (!over) {
		struct sockaddr_nl source;
		unsigned char *bytes = NULL;
		int length = nl_recv(socket, &source, &bytes, NULL);
		if (length < 0)
			return errno_of(length);
		over = length == 0 ? -EIO : source.nl_pid ? 0 : weir_nl_walk(bytes, (size_t)length, reply);
		if (bytes)
			explicit_bzero(bytes, (size_t)length);
		free(bytes);
	}
	return over < 0 ? over : 0;
}

/* Gives the message a number, sends it and reads the answer. */
static int converse(struct nl_sock *socket, struct nlmsghdr *header, struct reply *reply)
{
	header->nlmsg_seq = reply->sequence = nl_socket_use_seq(socket);
	header->nlmsg_pid = nl_socket_get_local_port(socket);
	int sent = nl_sendto(socket, header, header->nlmsg_len);
	return sent < 0 ? errno_of(sent) : receive(socket, reply);
}

int weir_nl_ask(int protocol, struct nl_msg *message, weir_nl_parse parse, void *context)
{
	struct reply reply = {.parse = parse, .context = context};
	struct nl_sock *socket = NULL;
	int error = open_socket(protocol, &socket);
	if (!error) {
		error = converse(socket, nlmsg_hdr(message), &reply);
		nl_socket_free(socket);
	}
	nlmsg_free(message);
	return error ? error : reply.seen;
}

/* libnl-route's own caches are not used: one of them waits for an answer to a request that it could not send. */
int weir_nl_dump(int type, const void *body, size_t size, weir_nl_parse parse, struct list *list)
{
	size_t before = list->count;
	int result = -EAGAIN;
	for (int attempt = 0; attempt < 5 && result == -EAGAIN; attempt++) {
		list->count = before;
		struct nl_msg *message = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_DUMP);
		if (!message || nlmsg_append(message, (void *)body, size, NLMSG_ALIGNTO)) {
			nlmsg_free(message);
			return -ENOMEM;
		}
		result = weir_nl_ask(NETLINK_ROUTE, message, parse, list);
	}
	return result < 0 ? result : 0;
}

struct nl_msg *weir_nl_change(int type, int flags, const void *body, size_t size)
{
	struct nl_msg *message = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_ACK | flags);
	if (message && nlmsg_append(message, (void *)body, size, NLMSG_ALIGNTO)) {
		nlmsg_free(message);
		return NULL;
	}
	return message;
}

/* Frees bytes that may be secret. */
static void wipe(void *bytes, size_t length)
{
	if (bytes)
		explicit_bzero(bytes, length);
	free(bytes);
}

int weir_nl_enqueue(struct weir_nl_messages *messages, struct nl_msg *message, int failed)
{
	if (!message)
		return -ENOMEM;
	struct nlmsghdr *header = nlmsg_hdr(message);
	size_t size = NLMSG_ALIGN(header->nlmsg_len), needed = messages->length + size;
	int error = failed ? -EMSGSIZE : 0;
	if (!error && needed > messages->room) {
		size_t room = needed * 2;
		uint8_t *grown = malloc(room);
		if (grown) {
			if (messages->length)
				memcpy(grown, messages->bytes, messages->length);
			wipe(messages->bytes, messages->length);
			messages->bytes = grown;
			messages->room = room;
		} else {
			error = -ENOMEM;
		}
	}
	if (!error) {
		memcpy(messages->bytes + messages->length, header, size);
		messages->length = needed;
	}
	explicit_bzero(header, size);
	nlmsg_free(message);
	return error;
}

void weir_nl_release(struct weir_nl_messages *messages)
{
	wipe(messages->bytes, messages->length);
	*messages = (struct weir_nl_messages){};
}

int weir_nl_send(int protocol, struct weir_nl_messages *messages, size_t *accepted)
{
	struct nl_sock *socket = NULL;
	*accepted = 0;
	int error = open_socket(protocol, &socket);
	if (error)
		return error;
	int rest = (int)messages->length;
	for (struct nlmsghdr *header = (struct nlmsghdr *)messages->bytes; !error && nlmsg_ok(header, rest);
	     header = nlmsg_next(header, &rest)) {
		struct reply reply = {};
		error = converse(socket, header, &reply);
		*accepted += !error;
	}
	nl_socket_free(socket);
	return error;
}
