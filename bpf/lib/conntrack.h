/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Flows: one entry for both directions, in two tables, each packet checked against time and revision. */
#ifndef WEIR_CONNTRACK_H
#define WEIR_CONNTRACK_H

#include <linux/ip.h>
#include <linux/ipv6.h>

#include "l4.h"
#include "maps.h"
#include "packet.h"
#include "parse.h"

enum { WEIR_EEXIST = 17 };

/* What was read of an entry, once: its node may become another flow's while we look. */
struct weir_flow {
	weir_u32 revision;
	weir_u32 action;
	weir_u32 expires;
	weir_u8 direction;
	weir_u8 flags;
	weir_u8 peer_class;
};

WEIR_INLINE weir_u32 weir_now(void)
{
	return bpf_ktime_get_coarse_ns() >> WEIR_TICK_SHIFT;
}

/* FNV-1a over the key's native words. */
WEIR_INLINE weir_u32 weir_key_check(const struct weir_conntrack_key *key)
{
	const weir_word *word = (const weir_word *)key;
	weir_u32 hash = 2166136261u;

#pragma unroll
	for (unsigned int i = 0; i < sizeof(*key) / sizeof(*word); i++)
		hash = (hash ^ word[i]) * 16777619u;
	return hash;
}

/* ICMP other than echo belongs to no flow of its own. */
WEIR_INLINE bool weir_tracked(const struct weir_packet *packet)
{
	return !packet->icmp || packet->echo;
}

/*
 * Reads the entry into `flow`; false where it is not this key's or no longer alive. `key_check`
 * is read last: a node that was another flow's before the last field was read does not fit. What
 * it cannot see is a rewrite in progress, a window of 40 bytes' copying for one packet.
 */
WEIR_INLINE bool weir_read_flow(const struct weir_conntrack *entry, weir_u32 key_check, weir_u32 now,
				struct weir_flow *flow)
{
	const volatile struct weir_conntrack *live = entry;

	flow->revision = live->revision;
	flow->action = live->action;
	flow->expires = live->expires;
	flow->direction = live->direction;
	flow->flags = live->flags;
	flow->peer_class = live->peer_class;
	return live->key_check == key_check && now <= flow->expires;
}

/* Whether a packet belongs to the flow, or needs a verdict of its own although the addresses fit. */
WEIR_INLINE bool weir_rides(const struct weir_flow *flow, const struct weir_packet *packet, int direction)
{
	if (flow->direction == direction)
		return !packet->echo_reply;
	return !packet->opens && !(flow->flags & WEIR_CT_MIDSTREAM);
}

WEIR_INLINE weir_u32 weir_timeout(weir_u8 protocol, weir_u8 flags)
{
	if (protocol != IPPROTO_TCP)
		return flags & WEIR_CT_REPLY_SEEN ? WEIR_TIMEOUT : WEIR_TIMEOUT_NEW;
	if (flags & WEIR_CT_CLOSING)
		return WEIR_TIMEOUT_TCP_CLOSING;
	return flags & WEIR_CT_REPLY_SEEN ? WEIR_TIMEOUT_TCP : WEIR_TIMEOUT_TCP_NEW;
}

WEIR_INLINE weir_u8 weir_closing(const struct weir_packet *packet)
{
	return packet->tcp_flags & (WEIR_TCP_FIN | WEIR_TCP_RST) ? WEIR_CT_CLOSING : 0;
}

/* A packet of the flow passes: counted, and the entry lives on. Flags go only with a new SYN of the originator's. */
WEIR_INLINE void weir_touch(struct __sk_buff *skb, struct weir_conntrack *entry, const struct weir_flow *flow,
			    const struct weir_packet *packet, int direction, weir_u32 now)
{
	weir_u8 flags = flow->flags | weir_closing(packet);
	weir_u32 expires;

	if (flow->direction != direction)
		flags |= WEIR_CT_REPLY_SEEN;
	else if (packet->opens && !weir_closing(packet))
		flags &= ~(WEIR_CT_CLOSING | WEIR_CT_MIDSTREAM); /* the same ports, a new connection */
	expires = now + weir_timeout(packet->key.protocol, flags);
	if (flags != flow->flags)
		entry->flags = flags;
	if (expires != flow->expires)
		entry->expires = expires;
	__sync_fetch_and_add(&entry->packets, 1);
	__sync_fetch_and_add(&entry->bytes, skb->len);
}

/*
 * The originator spoke again after a reply: out of reach of the flood of new flows. In both
 * tables for a moment, never in none; without room it stays where it is.
 */
WEIR_INLINE void weir_promote(const struct weir_conntrack_key *key, const struct weir_conntrack *entry)
{
	struct weir_conntrack copy = *entry;

	if (!bpf_map_update_elem(&conntrack, key, &copy, BPF_ANY))
		bpf_map_delete_elem(&conntrack_new, key);
}

/*
 * Records a flow that policy allowed. Without `replace` another CPU's entry for the same key
 * stands: it was allowed by the same policy an instant ago, and may have seen a reply since.
 * Returns 0 or a negative errno.
 */
WEIR_INLINE long weir_insert(struct __sk_buff *skb, const struct weir_packet *packet, int direction,
			     const struct weir_judgement *judgement, weir_u32 key_check, weir_u32 revision, weir_u32 now,
			     bool replace)
{
	weir_u8 flags = weir_closing(packet);
	struct weir_conntrack entry = {
		.packets = 1,
		.bytes = skb->len,
		.key_check = key_check,
		.revision = revision,
		.action = judgement->action,
		.direction = direction,
		.peer_class = judgement->peer_class,
	};
	long error;

	if (packet->key.protocol == IPPROTO_TCP && !packet->opens)
		flags |= WEIR_CT_MIDSTREAM;
	entry.flags = flags;
	entry.expires = now + weir_timeout(packet->key.protocol, flags);
	error = bpf_map_update_elem(&conntrack_new, &packet->key, &entry, replace ? BPF_ANY : BPF_NOEXIST);
	return error == -WEIR_EEXIST ? 0 : error;
}

WEIR_INLINE bool weir_is_icmp_error(const struct weir_packet *packet)
{
	weir_u8 type = packet->icmp_type;

	if (!packet->icmp)
		return false;
	if (packet->family == WEIR_IPV4)
		return type == WEIR_ICMP_UNREACHABLE || type == WEIR_ICMP_TIME_EXCEEDED || type == WEIR_ICMP_PARAMETER;
	return type >= WEIR_ICMPV6_UNREACHABLE && type <= WEIR_ICMPV6_PARAMETER;
}

/*
 * The flow of the packet that an ICMP error quotes, as this endpoint's key. To the endpoint the
 * quoted packet is one that it sent, from the endpoint one that it was sent. False where
 * the quotation is a fragment, is cut before its ports or does not name the endpoint.
 */
WEIR_INLINE bool weir_quoted_key(struct __sk_buff *skb, const struct weir_packet *packet,
				 const struct weir_endpoint *endpoint, int direction, struct weir_conntrack_key *key)
{
	weir_u8 *source = direction == WEIR_INGRESS ? key->local : key->remote;
	weir_u8 *destination = direction == WEIR_INGRESS ? key->remote : key->local;
	weir_u32 at = packet->l4 + WEIR_ICMP_HEADER;
	struct weir_ports ports = {};

	if (packet->family == WEIR_IPV4) {
		struct iphdr ip = {};

		if (at + sizeof(ip) > packet->end || !WEIR_LOAD(skb, at, &ip))
			return false;
		if (ip.version != 4 || ip.ihl < 5 || (ip.frag_off & bpf_htons(WEIR_IPV4_FRAGMENT_MASK)))
			return false;
		weir_set_ipv4(source, ip.saddr);
		weir_set_ipv4(destination, ip.daddr);
		key->protocol = ip.protocol;
		at += ip.ihl * 4;
	} else {
		struct ipv6hdr ip = {};
		weir_u64 extensions;

		if (at + sizeof(ip) > packet->end || !WEIR_LOAD(skb, at, &ip) || ip.version != 6)
			return false;
		weir_set_ipv6(source, &ip.saddr);
		weir_set_ipv6(destination, &ip.daddr);
		extensions = weir_walk_ipv6_extensions(skb, ip.nexthdr, at + sizeof(ip), packet->end);
		if (extensions >> WEIR_EXTENSIONS_REASON_SHIFT)
			return false;
		key->protocol = extensions;
		at = (weir_u32)extensions >> WEIR_EXTENSIONS_OFFSET_SHIFT;
	}
	if (!weir_own(endpoint, packet->family, key->local))
		return false;
	/*
	 * An endpoint routes for nobody: its error goes to whoever sent the quoted packet, or any
	 * established flow would be a ticket for payload to anywhere.
	 */
	if (direction == WEIR_EGRESS && !weir_same_ipv6(key->remote, packet->key.remote))
		return false;

	if (key->protocol == (packet->family == WEIR_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
		weir_u8 type = 0;

		if (at + WEIR_ICMP_HEADER > packet->end || !WEIR_LOAD(skb, at, &type) ||
		    !weir_is_echo(packet->family, type) || !WEIR_LOAD(skb, at + 4, &ports.source_be))
			return false;
		ports.destination_be = ports.source_be;
	} else if (weir_has_ports(key->protocol)) {
		if (at + sizeof(ports) > packet->end || !WEIR_LOAD(skb, at, &ports))
			return false;
	} else if (at > packet->end) {
		return false;
	}
	key->local_port_be = direction == WEIR_INGRESS ? ports.source_be : ports.destination_be;
	key->remote_port_be = direction == WEIR_INGRESS ? ports.destination_be : ports.source_be;
	key->ifindex = skb->ifindex;
	return true;
}

/* Whether an ICMP error is about a flow that the current policy allowed. It does not touch the flow. */
WEIR_STEP int weir_related(struct __sk_buff *skb, const struct weir_view *view, const struct weir_endpoint *endpoint,
			   const struct weir_packet *packet, int direction)
{
	struct weir_conntrack_key key = {};
	const struct weir_conntrack *entry;
	struct weir_flow flow = {};
	weir_u32 key_check, now;

	if (!view || !endpoint || !packet)
		return false;
	if (!weir_quoted_key(skb, packet, endpoint, direction, &key))
		return false;
	key_check = weir_key_check(&key);
	now = weir_now();
	entry = bpf_map_lookup_elem(&conntrack, &key);
	if (entry && weir_read_flow(entry, key_check, now, &flow) && flow.revision == (weir_u32)view->revision)
		return true;
	entry = bpf_map_lookup_elem(&conntrack_new, &key);
	return entry && weir_read_flow(entry, key_check, now, &flow) && flow.revision == (weir_u32)view->revision;
}

#endif
