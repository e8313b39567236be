/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

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
	struct nlattr *mtu = nlmsg_find_attr(header, sizeof(*message), IFLA_MTU);
	struct nlattr *details = nlmsg_find_attr(header, sizeof(*message), IFLA_LINKINFO);
	struct nlattr *kind = details ? nla_find(nla_data(details), nla_len(details), IFLA_INFO_KIND) : NULL;
	struct weir_nl_link *out = weir_nl_append(list);
	if (!out)
		return list->error;
	out->ifindex = (uint32_t)message->ifi_index;
	out->hardware = message->ifi_type;
	out->flags = message->ifi_flags;
	out->peer_ifindex = peer ? nla_get_u32(peer) : 0;
	out->peer_netns_id = peer_netns ? (int32_t)nla_get_u32(peer_netns) : -1;
	out->master = master ? nla_get_u32(master) : 0;
	out->mtu = mtu ? nla_get_u32(mtu) : 0;
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
	int error = weir_nl_dump(RTM_GETLINK, &body, sizeof(body), parse_link, &list);
	return weir_nl_hand_over(error, &list, (void **)links, count);
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
	struct weir_nl_address *out = weir_nl_append(list);
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
	int error = weir_nl_dump(RTM_GETADDR, &body, sizeof(body), parse_address, &list);
	return weir_nl_hand_over(error, &list, (void **)addresses, count);
}

int weir_nl_encode_add_link(const char *name, const char *kind, struct weir_nl_messages *messages)
{
	struct ifinfomsg body = {.ifi_family = AF_UNSPEC};
	struct nl_msg *message = weir_nl_change(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof(body));
	if (!message)
		return -ENOMEM;
	struct nlattr *details = NULL;
	int failed = nla_put_string(message, IFLA_IFNAME, name) || !(details = nla_reserve(message, IFLA_LINKINFO, 0)) ||
		     nla_put(message, IFLA_INFO_KIND, (int)strlen(kind), kind) || nla_nest_end(message, details);
	return weir_nl_enqueue(messages, message, failed);
}

int weir_nl_encode_delete_link(uint32_t ifindex, struct weir_nl_messages *messages)
{
	struct ifinfomsg body = {.ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex};
	return weir_nl_enqueue(messages, weir_nl_change(RTM_DELLINK, 0, &body, sizeof(body)), 0);
}

int weir_nl_encode_set_link(uint32_t ifindex, int up, uint32_t mtu, struct weir_nl_messages *messages)
{
	struct ifinfomsg body = {.ifi_family = AF_UNSPEC, .ifi_index = (int)ifindex};
	if (up >= 0) {
		body.ifi_change = IFF_UP;
		body.ifi_flags = up ? IFF_UP : 0;
	}
	struct nl_msg *message = weir_nl_change(RTM_NEWLINK, 0, &body, sizeof(body));
	return weir_nl_enqueue(messages, message, message && mtu && nla_put_u32(message, IFLA_MTU, mtu));
}

int weir_nl_encode_address(int add, const struct weir_nl_address *address, struct weir_nl_messages *messages)
{
	struct ifaddrmsg body = {
		.ifa_family = address->length == 4 ? AF_INET : AF_INET6,
		.ifa_prefixlen = address->prefix_length,
		.ifa_index = address->ifindex,
	};
	struct nl_msg *message = weir_nl_change(add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_EXCL : 0, &body,
						sizeof(body));
	return weir_nl_enqueue(messages, message,
			       message && (nla_put(message, IFA_LOCAL, address->length, address->bytes) ||
					   nla_put(message, IFA_ADDRESS, address->length, address->bytes)));
}
