/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be changed in a WireGuard device, as messages. */
#include "internal.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <string.h>

_Static_assert(WEIR_WG_KEY_LENGTH == WG_KEY_LEN, "a key is a key");
_Static_assert((int)WEIR_WG_REMOVE == WGPEER_F_REMOVE_ME &&
		       (int)WEIR_WG_REPLACE_ALLOWED_IPS == WGPEER_F_REPLACE_ALLOWEDIPS &&
		       (int)WEIR_WG_UPDATE_ONLY == WGPEER_F_UPDATE_ONLY,
	       "flags are the kernel's");

/* Any page size has room for it, and the kernel takes it whole. */
#define MESSAGE_SIZE 4096

struct nl_msg *weir_wg_request(uint16_t family, int command, int flags, const char *name)
{
	struct genlmsghdr body = {.cmd = (uint8_t)command, .version = WG_GENL_VERSION};
	struct nl_msg *message = nlmsg_alloc_size(MESSAGE_SIZE);
	if (!message)
		return NULL;
	if (!nlmsg_put(message, 0, 0, family, 0, NLM_F_REQUEST | NLM_F_ACK | flags) ||
	    nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO) || nla_put_string(message, WGDEVICE_A_IFNAME, name)) {
		nlmsg_free(message);
		return NULL;
	}
	return message;
}

struct writer {
	uint16_t family;
	const char *name;
	struct nl_msg *message;
	struct nlattr *peers; /* open; NULL: none yet */
	struct weir_nl_messages *done;
};

static int begin(struct writer *writer)
{
	writer->peers = NULL;
	writer->message = weir_wg_request(writer->family, WG_CMD_SET_DEVICE, 0, writer->name);
	return writer->message ? 0 : -ENOMEM;
}

static int end(struct writer *writer, int failed)
{
	if (writer->peers)
		nla_nest_end(writer->message, writer->peers);
	return weir_nl_enqueue(writer->done, writer->message, failed);
}

static int put_endpoint(struct nl_msg *message, const struct weir_wg_endpoint *endpoint)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
	if (endpoint->length == 4) {
		memcpy(&v4.sin_addr, endpoint->bytes, 4);
		return nla_put(message, WGPEER_A_ENDPOINT, sizeof(v4), &v4);
	}
	memcpy(&v6.sin6_addr, endpoint->bytes, 16);
	return nla_put(message, WGPEER_A_ENDPOINT, sizeof(v6), &v6);
}

static int put_allowed_ip(struct nl_msg *message, const struct weir_wg_allowed_ip *allowed)
{
	struct nlattr *nest = nla_nest_start(message, NLA_F_NESTED);
	if (nest && !nla_put_u16(message, WGALLOWEDIP_A_FAMILY, allowed->length == 4 ? AF_INET : AF_INET6) &&
	    !nla_put(message, WGALLOWEDIP_A_IPADDR, allowed->length, allowed->bytes) &&
	    !nla_put_u8(message, WGALLOWEDIP_A_CIDR_MASK, allowed->prefix_length))
		return nla_nest_end(message, nest);
	if (nest)
		nla_nest_cancel(message, nest);
	return -EMSGSIZE;
}

/*
 * Puts what fits of a peer behind `next` of its allowed IPs, and moves that on. 0: all of it is there; EMSGSIZE: the
 * rest, or all of it, needs another message.
 */
static int put_peer(struct writer *writer, const struct weir_wg_peer_change *peer,
		    const struct weir_wg_allowed_ip *allowed_ips, size_t *next)
{
	struct nl_msg *message = writer->message;
	/* Only its first message says that what it had is replaced: the second would take the first one's away. */
	uint32_t flags = *next ? peer->flags & ~(uint32_t)WGPEER_F_REPLACE_ALLOWEDIPS : peer->flags;
	if (!writer->peers && !(writer->peers = nla_nest_start(message, NLA_F_NESTED | WGDEVICE_A_PEERS)))
		return -EMSGSIZE;
	struct nlattr *nest = nla_nest_start(message, NLA_F_NESTED), *allowed = NULL;
	if (!nest)
		return -EMSGSIZE;
	if (nla_put(message, WGPEER_A_PUBLIC_KEY, WG_KEY_LEN, peer->key) ||
	    (!*next && peer->endpoint.length && put_endpoint(message, &peer->endpoint)) ||
	    (!*next && peer->has_keepalive &&
	     nla_put_u16(message, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, peer->keepalive)) ||
	    (flags && nla_put_u32(message, WGPEER_A_FLAGS, flags))) {
		nla_nest_cancel(message, nest);
		return -EMSGSIZE;
	}
	size_t before = *next;
	if (peer->allowed_ip_count && (allowed = nla_nest_start(message, NLA_F_NESTED | WGPEER_A_ALLOWEDIPS)))
		while (*next < peer->allowed_ip_count &&
		       !put_allowed_ip(message, &allowed_ips[peer->first_allowed_ip + *next]))
			++*next;
	if (peer->allowed_ip_count && *next == before) {
		nla_nest_cancel(message, nest);
		return -EMSGSIZE;
	}
	if (allowed)
		nla_nest_end(message, allowed);
	nla_nest_end(message, nest);
	return *next < peer->allowed_ip_count ? -EMSGSIZE : 0;
}

int weir_wg_encode_change(uint16_t family, const char *name, const struct weir_wg_change *change,
			  const struct weir_wg_peer_change *peers, const struct weir_wg_allowed_ip *allowed_ips,
			  struct weir_nl_messages *messages)
{
	struct writer writer = {.family = family, .name = name, .done = messages};
	int error = begin(&writer);
	if (error)
		return error;
	if ((change->has_listen_port && nla_put_u16(writer.message, WGDEVICE_A_LISTEN_PORT, change->listen_port)) ||
	    (change->has_mark && nla_put_u32(writer.message, WGDEVICE_A_FWMARK, change->mark)))
		return end(&writer, 1);
	for (size_t i = 0; i < change->peer_count; i++) {
		size_t next = 0;
		while (put_peer(&writer, &peers[i], allowed_ips, &next)) {
			error = end(&writer, 0);
			if (!error)
				error = begin(&writer);
			if (error)
				return error;
		}
	}
	return end(&writer, 0);
}

int weir_wg_encode_private_key(uint16_t family, const char *name, const uint8_t *key, struct weir_nl_messages *messages)
{
	struct nl_msg *message = weir_wg_request(family, WG_CMD_SET_DEVICE, 0, name);
	return weir_nl_enqueue(messages, message, message && nla_put(message, WGDEVICE_A_PRIVATE_KEY, WG_KEY_LEN, key));
}

int weir_wg_encode_preshared_key(uint16_t family, const char *name, const uint8_t *peer, uint32_t flags,
				 const uint8_t *key, struct weir_nl_messages *messages)
{
	struct writer writer = {.family = family, .name = name, .done = messages};
	int error = begin(&writer);
	if (error)
		return error;
	struct nlattr *nest = NULL;
	writer.peers = nla_nest_start(writer.message, NLA_F_NESTED | WGDEVICE_A_PEERS);
	int failed = !writer.peers || !(nest = nla_nest_start(writer.message, NLA_F_NESTED)) ||
		     nla_put(writer.message, WGPEER_A_PUBLIC_KEY, WG_KEY_LEN, peer) ||
		     nla_put(writer.message, WGPEER_A_PRESHARED_KEY, WG_KEY_LEN, key) ||
		     (flags && nla_put_u32(writer.message, WGPEER_A_FLAGS, flags)) || nla_nest_end(writer.message, nest);
	return end(&writer, failed);
}
