/* SPDX-License-Identifier: Apache-2.0 */
/* What a WireGuard device says of itself. */
#include "internal.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <stdlib.h>
#include <string.h>

static const size_t head = sizeof(struct genlmsghdr);

static int parse_family(struct nlmsghdr *header, void *context)
{
	if (header->nlmsg_type != GENL_ID_CTRL || !nlmsg_valid_hdr(header, (int)head))
		return -EBADMSG;
	struct nlattr *id = nlmsg_find_attr(header, (int)head, CTRL_ATTR_FAMILY_ID);
	if (!id || nla_len(id) < 2)
		return -EBADMSG;
	*(uint16_t *)context = nla_get_u16(id);
	return 0;
}

int weir_wg_family(uint16_t *family)
{
	struct genlmsghdr body = {.cmd = CTRL_CMD_GETFAMILY, .version = 1};
	struct nl_msg *message = nlmsg_alloc_simple(GENL_ID_CTRL, NLM_F_REQUEST);
	if (!message)
		return -ENOMEM;
	if (nlmsg_append(message, &body, head, NLMSG_ALIGNTO) ||
	    nla_put_string(message, CTRL_ATTR_FAMILY_NAME, WG_GENL_NAME)) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	int seen = weir_nl_ask(NETLINK_GENERIC, message, parse_family, family);
	return seen < 0 ? seen : seen == 1 ? 0 : -EBADMSG;
}

static struct nla_policy device_policy[WGDEVICE_A_MAX + 1] = {
	[WGDEVICE_A_IFINDEX] = {.type = NLA_U32},
	[WGDEVICE_A_PUBLIC_KEY] = {.minlen = WG_KEY_LEN},
	[WGDEVICE_A_LISTEN_PORT] = {.type = NLA_U16},
	[WGDEVICE_A_FWMARK] = {.type = NLA_U32},
	[WGDEVICE_A_PEERS] = {.type = NLA_NESTED},
};

static struct nla_policy peer_policy[WGPEER_A_MAX + 1] = {
	[WGPEER_A_PUBLIC_KEY] = {.minlen = WG_KEY_LEN},
	[WGPEER_A_PRESHARED_KEY] = {.minlen = WG_KEY_LEN},
	[WGPEER_A_ENDPOINT] = {.minlen = sizeof(struct sockaddr_in)},
	[WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL] = {.type = NLA_U16},
	[WGPEER_A_LAST_HANDSHAKE_TIME] = {.minlen = 2 * sizeof(uint64_t)},
	[WGPEER_A_RX_BYTES] = {.type = NLA_U64},
	[WGPEER_A_TX_BYTES] = {.type = NLA_U64},
	[WGPEER_A_ALLOWEDIPS] = {.type = NLA_NESTED},
};

static struct nla_policy allowed_policy[WGALLOWEDIP_A_MAX + 1] = {
	[WGALLOWEDIP_A_FAMILY] = {.type = NLA_U16},
	[WGALLOWEDIP_A_IPADDR] = {.minlen = sizeof(struct in_addr)},
	[WGALLOWEDIP_A_CIDR_MASK] = {.type = NLA_U8},
};

struct device_reply {
	struct weir_wg_device *device;
	struct list peers, allowed_ips;
};

static int parse_allowed_ip(struct nlattr *nest, struct device_reply *reply)
{
	struct nlattr *found[WGALLOWEDIP_A_MAX + 1];
	if (nla_parse_nested(found, WGALLOWEDIP_A_MAX, nest, allowed_policy) || !found[WGALLOWEDIP_A_FAMILY] ||
	    !found[WGALLOWEDIP_A_IPADDR] || !found[WGALLOWEDIP_A_CIDR_MASK])
		return -EBADMSG;
	int family = nla_get_u16(found[WGALLOWEDIP_A_FAMILY]);
	int length = family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
	int prefix_length = nla_get_u8(found[WGALLOWEDIP_A_CIDR_MASK]);
	if (!length || nla_len(found[WGALLOWEDIP_A_IPADDR]) != length || prefix_length > length * 8)
		return -EBADMSG;
	struct weir_wg_allowed_ip *out = weir_nl_append(&reply->allowed_ips);
	if (!out)
		return reply->allowed_ips.error;
	out->length = (uint8_t)length;
	out->prefix_length = (uint8_t)prefix_length;
	memcpy(out->bytes, nla_data(found[WGALLOWEDIP_A_IPADDR]), (size_t)length);
	return 0;
}

static int parse_endpoint(struct nlattr *attribute, struct weir_wg_endpoint *endpoint)
{
	union {
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = {};
	int length = nla_len(attribute);
	memcpy(&address, nla_data(attribute), length < (int)sizeof(address) ? (size_t)length : sizeof(address));
	if (address.v4.sin_family == AF_INET) {
		endpoint->length = 4;
		endpoint->port = ntohs(address.v4.sin_port);
		memcpy(endpoint->bytes, &address.v4.sin_addr, 4);
	} else if (address.v4.sin_family == AF_INET6 && length >= (int)sizeof(address.v6)) {
		endpoint->length = 16;
		endpoint->port = ntohs(address.v6.sin6_port);
		memcpy(endpoint->bytes, &address.v6.sin6_addr, 16);
	} else {
		return -EBADMSG;
	}
	return 0;
}

static int is_zero(const uint8_t *bytes)
{
	uint8_t all = 0;
	for (int i = 0; i < WG_KEY_LEN; i++)
		all |= bytes[i];
	return !all;
}

static int parse_peer(struct nlattr *nest, struct device_reply *reply)
{
	struct nlattr *found[WGPEER_A_MAX + 1];
	if (nla_parse_nested(found, WGPEER_A_MAX, nest, peer_policy) || !found[WGPEER_A_PUBLIC_KEY])
		return -EBADMSG;
	const uint8_t *key = nla_data(found[WGPEER_A_PUBLIC_KEY]);
	struct weir_wg_peer *peers = reply->peers.elements;
	struct weir_wg_peer *peer = reply->peers.count ? &peers[reply->peers.count - 1] : NULL;
	/* More allowed IPs of the last one, or another one. */
	if (!peer || memcmp(peer->key, key, WG_KEY_LEN)) {
		peer = weir_nl_append(&reply->peers);
		if (!peer)
			return reply->peers.error;
		memcpy(peer->key, key, WG_KEY_LEN);
		peer->first_allowed_ip = reply->allowed_ips.count;
		struct nlattr *preshared = found[WGPEER_A_PRESHARED_KEY], *keepalive = found[WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL];
		struct nlattr *handshake = found[WGPEER_A_LAST_HANDSHAKE_TIME];
		peer->has_preshared_key = preshared && !is_zero(nla_data(preshared));
		peer->keepalive = keepalive ? nla_get_u16(keepalive) : 0;
		/* Seconds stand first. */
		if (handshake)
			memcpy(&peer->last_handshake, nla_data(handshake), sizeof(peer->last_handshake));
		if (found[WGPEER_A_RX_BYTES])
			peer->received = nla_get_u64(found[WGPEER_A_RX_BYTES]);
		if (found[WGPEER_A_TX_BYTES])
			peer->sent = nla_get_u64(found[WGPEER_A_TX_BYTES]);
		if (found[WGPEER_A_ENDPOINT] && parse_endpoint(found[WGPEER_A_ENDPOINT], &peer->endpoint))
			return -EBADMSG;
	}
	struct nlattr *allowed;
	int rest, error = 0;
	if (found[WGPEER_A_ALLOWEDIPS])
		nla_for_each_nested(allowed, found[WGPEER_A_ALLOWEDIPS], rest)
			if (!error)
				error = parse_allowed_ip(allowed, reply);
	peer->allowed_ip_count = reply->allowed_ips.count - peer->first_allowed_ip;
	return error;
}

static int parse_device(struct nlmsghdr *header, void *context)
{
	struct device_reply *reply = context;
	struct nlattr *found[WGDEVICE_A_MAX + 1];
	if (!nlmsg_valid_hdr(header, (int)head) || ((struct genlmsghdr *)nlmsg_data(header))->cmd != WG_CMD_GET_DEVICE ||
	    nlmsg_parse(header, (int)head, found, WGDEVICE_A_MAX, device_policy))
		return -EBADMSG;
	/* All of it stands in the first message, next to nothing in the others. */
	struct weir_wg_device *device = reply->device;
	if (found[WGDEVICE_A_IFINDEX])
		device->ifindex = nla_get_u32(found[WGDEVICE_A_IFINDEX]);
	if (found[WGDEVICE_A_LISTEN_PORT])
		device->listen_port = nla_get_u16(found[WGDEVICE_A_LISTEN_PORT]);
	if (found[WGDEVICE_A_FWMARK])
		device->mark = nla_get_u32(found[WGDEVICE_A_FWMARK]);
	if (found[WGDEVICE_A_PUBLIC_KEY]) {
		device->has_public_key = 1;
		memcpy(device->public_key, nla_data(found[WGDEVICE_A_PUBLIC_KEY]), WG_KEY_LEN);
	}
	struct nlattr *peer;
	int rest, error = 0;
	if (found[WGDEVICE_A_PEERS])
		nla_for_each_nested(peer, found[WGDEVICE_A_PEERS], rest)
			if (!error)
				error = parse_peer(peer, reply);
	return error;
}

static struct device_reply begin_reply(struct weir_wg_device *device)
{
	memset(device, 0, sizeof(*device));
	return (struct device_reply){
		.device = device,
		.peers = {.size = sizeof(*device->peers)},
		.allowed_ips = {.size = sizeof(*device->allowed_ips)},
	};
}

static int end_reply(int error, struct device_reply *reply)
{
	struct weir_wg_device *device = reply->device;
	error = weir_nl_hand_over(error, &reply->peers, (void **)&device->peers, &device->peer_count);
	int second = weir_nl_hand_over(error, &reply->allowed_ips, (void **)&device->allowed_ips, &device->allowed_ip_count);
	if (second && !error) {
		free(device->peers);
		device->peers = NULL;
		device->peer_count = 0;
	}
	return second;
}

int weir_wg_decode(uint8_t *bytes, size_t length, struct weir_wg_device *device)
{
	struct device_reply state = begin_reply(device);
	struct reply reply = {.parse = parse_device, .context = &state};
	if (length >= NLMSG_HDRLEN)
		reply.sequence = ((struct nlmsghdr *)bytes)->nlmsg_seq;
	int over = weir_nl_walk(bytes, length, &reply);
	return end_reply(over > 0 ? 0 : over ? over : -EBADMSG, &state);
}

int weir_wg_encode_read(uint16_t family, const char *name, struct weir_nl_messages *messages)
{
	return weir_nl_enqueue(messages, weir_wg_request(family, WG_CMD_GET_DEVICE, NLM_F_DUMP, name), 0);
}

int weir_wg_read(uint16_t family, const char *name, struct weir_wg_device *device)
{
	int error = -EAGAIN;
	for (int attempt = 0; attempt < 5 && (error == -EAGAIN || error == -EINTR); attempt++) {
		struct device_reply state = begin_reply(device);
		struct nl_msg *message = weir_wg_request(family, WG_CMD_GET_DEVICE, NLM_F_DUMP, name);
		if (!message)
			return -ENOMEM;
		int seen = weir_nl_ask(NETLINK_GENERIC, message, parse_device, &state);
		error = end_reply(seen < 0 ? seen : seen ? 0 : -EBADMSG, &state);
	}
	return error;
}
