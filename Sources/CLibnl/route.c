/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

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
	int seen = weir_nl_ask(NETLINK_ROUTE, message, parse_route, route);
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
		uint32_t *index = weir_nl_append(list);
		if (index)
			*index = nla_get_u32(output);
	}
	if (hops) {
		int rest = nla_len(hops);
		for (struct rtnexthop *hop = nla_data(hops); RTNH_OK(hop, rest);
		     rest -= (int)RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
			uint32_t *index = weir_nl_append(list);
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
	int error = 0;
	for (size_t i = 0; i < 2 && !error; i++) {
		struct rtmsg body = {.rtm_family = families[i]};
		error = weir_nl_dump(RTM_GETROUTE, &body, sizeof(body), parse_default_route, &list);
		/* A node without one of the families. */
		if (error == -EOPNOTSUPP || error == -EAFNOSUPPORT)
			error = 0;
	}
	return weir_nl_hand_over(error, &list, (void **)ifindexes, count);
}
