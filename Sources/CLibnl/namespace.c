/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int parse_namespace_id(struct nlmsghdr *header, void *context)
{
	struct nlattr *id = nlmsg_find_attr(header, sizeof(struct rtgenmsg), NETNSA_NSID);
	if (header->nlmsg_type != RTM_NEWNSID || !id)
		return -EBADMSG;
	*(int32_t *)context = (int32_t)nla_get_u32(id);
	return 0;
}

int weir_nl_namespace_id(int namespace_fd, int32_t *id)
{
	struct rtgenmsg body = {.rtgen_family = AF_UNSPEC};
	struct nl_msg *message = nlmsg_alloc_simple(RTM_GETNSID, NLM_F_REQUEST);
	if (!message)
		return -ENOMEM;
	if (nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO) ||
	    nla_put_u32(message, NETNSA_FD, (uint32_t)namespace_fd)) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	*id = -1;
	int seen = weir_nl_ask(NETLINK_ROUTE, message, parse_namespace_id, id);
	return seen < 0 ? seen : 0;
}

struct errand {
	int namespace_fd;
	void (*body)(void *);
	void *context;
	int error;
};

static void *run_errand(void *argument)
{
	struct errand *errand = argument;
	if (setns(errand->namespace_fd, CLONE_NEWNET))
		errand->error = -errno;
	else
		errand->body(errand->context);
	return NULL;
}

int weir_nl_in_namespace(int namespace_fd, void (*body)(void *), void *context)
{
	struct errand errand = {.namespace_fd = namespace_fd, .body = body, .context = context};
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	/* The loader runs here too: as much stack as a main thread has. */
	pthread_attr_setstacksize(&attributes, 8 << 20);
	int error = pthread_create(&thread, &attributes, run_errand, &errand);
	pthread_attr_destroy(&attributes);
	if (error)
		return -error;
	pthread_join(thread, NULL);
	return errand.error;
}

int weir_nl_namespace_inode(const char *path, uint64_t *device, uint64_t *inode)
{
	struct stat status;
	if (stat(path, &status))
		return -errno;
	*device = (uint64_t)status.st_dev;
	*inode = (uint64_t)status.st_ino;
	return 0;
}

int weir_nl_listener(int socket, int32_t *process)
{
	struct ucred owner = {};
	socklen_t size = sizeof(owner);
	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &owner, &size))
		return -errno;
	*process = owner.pid;
	return 0;
}
