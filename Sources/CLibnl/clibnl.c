/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "clibnl.h"

#include <errno.h>
#include <linux/net_namespace.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
	case -NLE_DUMP_INTR: return -EAGAIN;
	default: return -EIO;
	}
}

static int open_route_socket(struct nl_sock **out)
{
	struct nl_sock *socket = nl_socket_alloc();
	if (!socket)
		return -ENOMEM;
	int error = nl_connect(socket, NETLINK_ROUTE);
	if (error) {
		nl_socket_free(socket);
		return errno_of(error);
	}
	/* Large attributes and messages of big hosts. */
	nl_socket_set_msg_buf_size(socket, 1 << 16);
	*out = socket;
	return 0;
}

/* A growing array of fixed-size elements. */
struct list {
	void *elements;
	size_t count, room, size;
	int error;
};

static void *append(struct list *list)
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

/* One reply of a request that has exactly one; errno as the kernel gave it. */
struct reply {
	int (*parse)(struct nlmsghdr *, void *);
	void *context;
	int error;
	int seen;
};

static int on_message(struct nl_msg *message, void *context)
{
	struct reply *reply = context;
	reply->seen++;
	int error = reply->parse(nlmsg_hdr(message), reply->context);
	if (error && !reply->error)
		reply->error = error;
	return NL_OK;
}

static int on_error(struct sockaddr_nl *source, struct nlmsgerr *error, void *context)
{
	(void)source;
	((struct reply *)context)->error = error->error;
	return NL_STOP;
}

/* Sends the message (and frees it) and parses what comes back; a dump parses every part. */
static int ask(struct nl_msg *message, int (*parse)(struct nlmsghdr *, void *), void *context)
{
	struct nl_sock *socket = NULL;
	int error = open_route_socket(&socket);
	if (error) {
		nlmsg_free(message);
		return error;
	}
	struct reply reply = {.parse = parse, .context = context};
	nl_socket_disable_auto_ack(socket);
	nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, on_message, &reply);
	nl_socket_modify_err_cb(socket, NL_CB_CUSTOM, on_error, &reply);
	error = nl_send_auto(socket, message);
	nlmsg_free(message);
	if (error >= 0) {
		error = nl_recvmsgs_default(socket);
	}
	nl_socket_free(socket);
	if (reply.error)
		return reply.error;
	return error < 0 ? errno_of(error) : reply.seen;
}

/*
 * Dumps a table: `parse` appends to the list. Again where the kernel changed something meanwhile.
 *
 * libnl-route's own caches are not used: one of them waits for an answer to a request that it could not send.
 */
static int dump(int type, const void *body, size_t size, int (*parse)(struct nlmsghdr *, void *), struct list *list)
{
	int result = -EAGAIN;
	for (int attempt = 0; attempt < 5 && result == -EAGAIN; attempt++) {
		list->count = 0;
		struct nl_msg *message = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_DUMP);
		if (!message || nlmsg_append(message, (void *)body, size, NLMSG_ALIGNTO)) {
			nlmsg_free(message);
			result = -ENOMEM;
			break;
		}
		result = ask(message, parse, list);
	}
	if (result >= 0 && !list->error)
		return 0;
	free(list->elements);
	list->elements = NULL;
	list->count = 0;
	return list->error ? list->error : result;
}

static int parse_link(struct nlmsghdr *header, void *context)
{
	struct list *list = context;
	struct ifinfomsg *message = nlmsg_data(header);
	if (header->nlmsg_type != RTM_NEWLINK || !nlmsg_valid_hdr(header, sizeof(*message)))
		return -EBADMSG;
	struct nlattr *name = nlmsg_find_attr(header, sizeof(*message), IFLA_IFNAME);
	struct nlattr *peer = nlmsg_find_attr(header, sizeof(*message), IFLA_LINK);
	struct nlattr *peer_netns = nlmsg_find_attr(header, sizeof(*message), IFLA_LINK_NETNSID);
	struct nlattr *master = nlmsg_find_attr(header, sizeof(*message), IFLA_MASTER);
	struct nlattr *details = nlmsg_find_attr(header, sizeof(*message), IFLA_LINKINFO);
	struct nlattr *kind = details ? nla_find(nla_data(details), nla_len(details), IFLA_INFO_KIND) : NULL;
	struct weir_nl_link *out = append(list);
	if (!out)
		return list->error;
	out->ifindex = (uint32_t)message->ifi_index;
	out->flags = message->ifi_flags;
	out->peer_ifindex = peer ? nla_get_u32(peer) : 0;
	out->peer_netns_id = peer_netns ? (int32_t)nla_get_u32(peer_netns) : -1;
	out->master = master ? nla_get_u32(master) : 0;
	if (name)
		nla_strlcpy(out->name, name, sizeof(out->name));
	if (kind)
		nla_strlcpy(out->kind, kind, sizeof(out->kind));
	return 0;
}

int weir_nl_links(struct weir_nl_link **links, size_t *count)
{
	struct list list = {.size = sizeof(**links)};
	struct ifinfomsg body = {.ifi_family = AF_UNSPEC};
	int error = dump(RTM_GETLINK, &body, sizeof(body), parse_link, &list);
	*links = list.elements;
	*count = list.count;
	return error;
}

static int parse_address(struct nlmsghdr *header, void *context)
{
	struct list *list = context;
	struct ifaddrmsg *message = nlmsg_data(header);
	if (header->nlmsg_type != RTM_NEWADDR || !nlmsg_valid_hdr(header, sizeof(*message)))
		return -EBADMSG;
	/* With a peer, the other attribute is the peer's. */
	struct nlattr *local = nlmsg_find_attr(header, sizeof(*message), IFA_LOCAL);
	if (!local)
		local = nlmsg_find_attr(header, sizeof(*message), IFA_ADDRESS);
	int length = local ? nla_len(local) : 0;
	if (length != 4 && length != 16)
		return 0;
	struct weir_nl_address *out = append(list);
	if (!out)
		return list->error;
	out->ifindex = message->ifa_index;
	out->length = (uint8_t)length;
	out->prefix_length = message->ifa_prefixlen;
	memcpy(out->bytes, nla_data(local), (size_t)length);
	return 0;
}

int weir_nl_addresses(struct weir_nl_address **addresses, size_t *count)
{
	struct list list = {.size = sizeof(**addresses)};
	struct ifaddrmsg body = {.ifa_family = AF_UNSPEC};
	int error = dump(RTM_GETADDR, &body, sizeof(body), parse_address, &list);
	*addresses = list.elements;
	*count = list.count;
	return error;
}

static int parse_route(struct nlmsghdr *header, void *context)
{
	struct weir_nl_route *route = context;
	struct rtmsg *message = nlmsg_data(header);
	if (header->nlmsg_type != RTM_NEWROUTE || !nlmsg_valid_hdr(header, sizeof(*message)))
		return -EBADMSG;
	struct nlattr *output = nlmsg_find_attr(header, sizeof(*message), RTA_OIF);
	route->prefix_length = message->rtm_dst_len;
	route->is_unicast = message->rtm_type == RTN_UNICAST;
	route->has_gateway = nlmsg_find_attr(header, sizeof(*message), RTA_GATEWAY) ||
			     nlmsg_find_attr(header, sizeof(*message), RTA_VIA);
	if (output && !nlmsg_find_attr(header, sizeof(*message), RTA_MULTIPATH))
		route->ifindex = nla_get_u32(output);
	return 0;
}

int weir_nl_route_to(const uint8_t *bytes, size_t length, struct weir_nl_route *route)
{
	memset(route, 0, sizeof(*route));
	if (length != 4 && length != 16)
		return -EINVAL;
	struct rtmsg body = {
		.rtm_family = length == 4 ? AF_INET : AF_INET6,
		.rtm_dst_len = (unsigned char)(length * 8),
		/* The route itself, not the /32 that a packet would use. */
		.rtm_flags = RTM_F_FIB_MATCH,
	};
	struct nl_msg *message = nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_REQUEST);
	if (!message)
		return -ENOMEM;
	if (nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO) || nla_put(message, RTA_DST, (int)length, bytes)) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	int seen = ask(message, parse_route, route);
	return seen < 0 ? seen : seen == 1 ? 0 : -EBADMSG;
}

static int parse_default_route(struct nlmsghdr *header, void *context)
{
	struct list *list = context;
	struct rtmsg *message = nlmsg_data(header);
	if (header->nlmsg_type != RTM_NEWROUTE || !nlmsg_valid_hdr(header, sizeof(*message)))
		return -EBADMSG;
	if (message->rtm_dst_len || message->rtm_type != RTN_UNICAST)
		return 0;
	struct nlattr *output = nlmsg_find_attr(header, sizeof(*message), RTA_OIF);
	struct nlattr *hops = nlmsg_find_attr(header, sizeof(*message), RTA_MULTIPATH);
	if (output) {
		uint32_t *index = append(list);
		if (index)
			*index = nla_get_u32(output);
	}
	if (hops) {
		int rest = nla_len(hops);
		for (struct rtnexthop *hop = nla_data(hops); RTNH_OK(hop, rest);
		     rest -= (int)RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
			uint32_t *index = append(list);
			if (index)
				*index = (uint32_t)hop->rtnh_ifindex;
		}
	}
	return list->error;
}

int weir_nl_default_route_interfaces(uint32_t **ifindexes, size_t *count)
{
	struct list list = {.size = sizeof(**ifindexes)};
	const unsigned char families[] = {AF_INET, AF_INET6};
	int result = 0;
	for (size_t i = 0; i < 2 && result >= 0; i++) {
		struct rtmsg body = {.rtm_family = families[i]};
		struct nl_msg *message = nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP);
		if (!message || nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO)) {
			nlmsg_free(message);
			result = -ENOMEM;
			break;
		}
		result = ask(message, parse_default_route, &list);
		/* A node without one of the families. */
		if (result == -EOPNOTSUPP || result == -EAFNOSUPPORT)
			result = 0;
	}
	if (result < 0) {
		free(list.elements);
		return result;
	}
	*ifindexes = list.elements;
	*count = list.count;
	return 0;
}

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
	int seen = ask(message, parse_namespace_id, id);
	return seen < 0 ? seen : 0;
}

struct tc_search {
	uint32_t ifindex;
	int found;
};

static int match_clsact(struct nlmsghdr *header, void *context)
{
	struct tc_search *search = context;
	struct tcmsg *message = nlmsg_data(header);
	if (header->nlmsg_type != RTM_NEWQDISC || !nlmsg_valid_hdr(header, sizeof(*message)))
		return -EBADMSG;
	struct nlattr *kind = nlmsg_find_attr(header, sizeof(*message), TCA_KIND);
	if ((uint32_t)message->tcm_ifindex == search->ifindex && kind && !nla_strcmp(kind, "clsact"))
		search->found = 1;
	return 0;
}

static int any_filter(struct nlmsghdr *header, void *context)
{
	struct tc_search *search = context;
	struct tcmsg *message = nlmsg_data(header);
	if (header->nlmsg_type != RTM_NEWTFILTER || !nlmsg_valid_hdr(header, sizeof(*message)))
		return -EBADMSG;
	search->found = 1;
	return 0;
}

static int search_tc(int type, struct tcmsg body, int (*parse)(struct nlmsghdr *, void *))
{
	struct tc_search search = {.ifindex = (uint32_t)body.tcm_ifindex};
	struct nl_msg *message = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_DUMP);
	if (!message)
		return -ENOMEM;
	if (nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO)) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	int seen = ask(message, parse, &search);
	return seen < 0 ? seen : search.found;
}

int weir_nl_has_clsact(uint32_t ifindex)
{
	return search_tc(RTM_GETQDISC, (struct tcmsg){.tcm_family = AF_UNSPEC, .tcm_ifindex = (int)ifindex},
			 match_clsact);
}

int weir_nl_has_filters(uint32_t ifindex, int egress_hook)
{
	return search_tc(RTM_GETTFILTER,
			 (struct tcmsg){
				 .tcm_family = AF_UNSPEC,
				 .tcm_ifindex = (int)ifindex,
				 .tcm_parent = TC_H_MAKE(TC_H_CLSACT,
							 egress_hook ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS),
			 },
			 any_filter);
}

static int add_filter(struct nlmsghdr *header, void *context)
{
	struct list *list = context;
	struct tcmsg *message = nlmsg_data(header);
	if (header->nlmsg_type != RTM_NEWTFILTER || !nlmsg_valid_hdr(header, sizeof(*message)))
		return -EBADMSG;
	struct nlattr *kind = nlmsg_find_attr(header, sizeof(*message), TCA_KIND);
	struct nlattr *options = nlmsg_find_attr(header, sizeof(*message), TCA_OPTIONS);
	/* Each priority begins with a message about no filter. */
	if (!message->tcm_handle || !kind || !options)
		return 0;
	struct weir_nl_filter *out = append(list);
	if (!out)
		return list->error;
	out->priority = TC_H_MAJ(message->tcm_info) >> 16;
	out->handle = message->tcm_handle;
	nla_strlcpy(out->kind, kind, sizeof(out->kind));
	if (strcmp(out->kind, "bpf"))
		return 0;
	struct nlattr *id = nla_find(nla_data(options), nla_len(options), TCA_BPF_ID);
	struct nlattr *name = nla_find(nla_data(options), nla_len(options), TCA_BPF_NAME);
	struct nlattr *flags = nla_find(nla_data(options), nla_len(options), TCA_BPF_FLAGS);
	if (id)
		out->program_id = nla_get_u32(id);
	if (name)
		nla_strlcpy(out->name, name, sizeof(out->name));
	out->direct_action = flags && nla_get_u32(flags) & TCA_BPF_FLAG_ACT_DIRECT;
	return 0;
}

int weir_nl_filters(uint32_t ifindex, int egress_hook, struct weir_nl_filter **filters, size_t *count)
{
	struct list list = {.size = sizeof(**filters)};
	struct tcmsg body = {
		.tcm_family = AF_UNSPEC,
		.tcm_ifindex = (int)ifindex,
		.tcm_parent = TC_H_MAKE(TC_H_CLSACT, egress_hook ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS),
	};
	int error = dump(RTM_GETTFILTER, &body, sizeof(body), add_filter, &list);
	*filters = list.elements;
	*count = list.count;
	return error;
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
