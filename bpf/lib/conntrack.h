/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Flows: one entry for both directions, in two tables, each packet checked against time and revision. */
#ifndef WEIR_CONNTRACK_H
#define WEIR_CONNTRACK_H

#include <linux/ip.h>
#include <linux/ipv6.h>

#include "events.h"
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

/* Free, unlike any helper that reads a clock. */
WEIR_INLINE weir_u32 weir_now(void)
{
	return bpf_jiffies64() >> weir_tick_shift;
}

/* See WEIR_KEY_CHECK_WORDS. The products do not wait for each other, as the steps of most hashes do. */
WEIR_INLINE weir_u64 weir_check_pair(weir_u32 first, weir_u32 second, const int pair)
{
	const weir_u32 secret[] = WEIR_KEY_CHECK_WORDS;

	return (weir_u64)(weir_u32)(first + secret[2 * pair]) * (weir_u32)(second + secret[2 * pair + 1]);
}

WEIR_INLINE weir_u32 weir_fold_check(weir_u64 sum)
{
	return sum ^ sum >> 32;
}

WEIR_INLINE weir_u32 weir_key_check(const void *key, const int words)
{
	const weir_word *word = key;
	weir_u64 sum = 0;

#pragma unroll
	for (int i = 0; i < words; i += 2)
		sum += weir_check_pair(word[i], i + 1 < words ? word[i + 1] : 0, i / 2);
	return weir_fold_check(sum);
}
#define WEIR_KEY_CHECK(key) weir_key_check(key, sizeof(*(key)) / sizeof(weir_word))

/* A flow's key in its family's tables. */
struct weir_flow_key {
	union {
		struct weir_flow4 four;
		struct weir_flow6 six;
	};
	weir_u32 check;
};

/* All of it has a value afterwards, as the kernel wants it of what a step is given. */
WEIR_INLINE void weir_clear_key_tail(weir_u8 family, struct weir_flow_key *key)
{
	if (family == WEIR_IPV4)
		__builtin_memset((weir_u8 *)key + sizeof(key->four), 0, sizeof(key->six) - sizeof(key->four));
}

WEIR_INLINE void weir_make_key(const struct weir_tuple *tuple, weir_u8 family, struct weir_flow_key *key)
{
	weir_u32 owner = tuple->interface << WEIR_OWNER_INTERFACE_SHIFT | tuple->protocol;

	if (family == WEIR_IPV4) {
		key->four.owner = owner;
		*(weir_word *)key->four.remote = weir_word_at(tuple->remote, 3);
		*(weir_word *)key->four.local = weir_word_at(tuple->local, 3);
		key->four.remote_port_be = tuple->remote_port_be;
		key->four.local_port_be = tuple->local_port_be;
		weir_clear_key_tail(family, key);
		key->check = WEIR_KEY_CHECK(&key->four);
	} else {
		key->six.owner = owner;
		key->six.remote_port_be = tuple->remote_port_be;
		key->six.local_port_be = tuple->local_port_be;
		weir_set_ipv6(key->six.remote, tuple->remote);
		weir_set_ipv6(key->six.local, tuple->local);
		key->check = WEIR_KEY_CHECK(&key->six);
	}
}

/*
 * One call for each family's table. Without the empty statement the compiler makes one call out of two
 * and picks the table before it; the kernel then cannot know which map is meant, and looks it up the slow way.
 */
WEIR_INLINE struct weir_conntrack *weir_find_established(weir_u8 family, const struct weir_flow_key *key)
{
	if (family == WEIR_IPV4) {
		struct weir_conntrack *entry = bpf_map_lookup_elem(&conntrack4, &key->four);

		asm volatile("" : "+r"(entry));
		return entry;
	}
	return bpf_map_lookup_elem(&conntrack6, &key->six);
}

WEIR_INLINE struct weir_conntrack *weir_find_new(weir_u8 family, const struct weir_flow_key *key)
{
	if (family == WEIR_IPV4) {
		struct weir_conntrack *entry = bpf_map_lookup_elem(&conntrack4_new, &key->four);

		asm volatile("" : "+r"(entry));
		return entry;
	}
	return bpf_map_lookup_elem(&conntrack6_new, &key->six);
}

WEIR_INLINE void weir_forget_new(weir_u8 family, const struct weir_flow_key *key)
{
	if (family == WEIR_IPV4)
		bpf_map_delete_elem(&conntrack4_new, &key->four);
	else
		bpf_map_delete_elem(&conntrack6_new, &key->six);
}

WEIR_INLINE void weir_forget_established(weir_u8 family, const struct weir_flow_key *key)
{
	if (family == WEIR_IPV4)
		bpf_map_delete_elem(&conntrack4, &key->four);
	else
		bpf_map_delete_elem(&conntrack6, &key->six);
}

/* The node's flows are its own on whichever device they come and go. */
WEIR_INLINE weir_u32 weir_flow_interface(const struct __sk_buff *skb, const struct weir_endpoint *endpoint)
{
	return weir_is_host(endpoint) ? 0 : skb->ifindex;
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

/* Not atomic: two CPUs at once may lose a packet of this flow's sum. A rule's counters lose none. */
WEIR_INLINE void weir_count_flow(struct __sk_buff *skb, struct weir_conntrack *entry, int direction)
{
	entry->packets[direction]++;
	entry->bytes[direction] += skb->len;
}

/* A packet of the flow passes: counted, and the entry lives on. Flags go only with a new SYN of the originator's. */
WEIR_INLINE void weir_touch(struct __sk_buff *skb, struct weir_conntrack *entry, const struct weir_flow *flow,
			    const struct weir_packet *packet, int direction, weir_u32 now, bool encrypted)
{
	weir_u8 flags = (flow->flags & ~WEIR_CT_ENCRYPTED) | weir_closing(packet);
	weir_u32 expires;

	if (encrypted)
		flags |= WEIR_CT_ENCRYPTED;

	if (flow->direction != direction)
		flags |= WEIR_CT_REPLY_SEEN;
	else if (packet->opens && !weir_closing(packet))
		flags &= ~(WEIR_CT_CLOSING | WEIR_CT_MIDSTREAM); /* the same ports, a new connection */
	expires = now + weir_timeout(packet->key.protocol, flags);
	if (flags != flow->flags)
		entry->flags = flags;
	if (expires != flow->expires)
		entry->expires = expires;
	weir_count_flow(skb, entry, direction);
}

/*
 * The originator spoke again after a reply: out of reach of the flood of new flows. In both
 * tables for a moment, never in none; without room it stays where it is.
 */
WEIR_INLINE void weir_promote(weir_u8 family, const struct weir_flow_key *key, const struct weir_conntrack *entry)
{
	long error;

	if (family == WEIR_IPV4) {
		error = bpf_map_update_elem(&conntrack4, &key->four, entry, BPF_ANY);
		asm volatile("" : "+r"(error));
	} else {
		error = bpf_map_update_elem(&conntrack6, &key->six, entry, BPF_ANY);
	}
	if (!error)
		weir_forget_new(family, key);
}

/*
 * Records a flow that policy allowed. Without `judgement->replace` another CPU's entry for the same
 * key stands: it was allowed by the same policy an instant ago, and may have seen a reply since.
 * Returns 0 or a negative errno.
 */
WEIR_STEP int weir_insert(struct __sk_buff *skb, const struct weir_view *view, const struct weir_packet *packet,
			  const struct weir_judgement *judgement, const struct weir_flow_key *flow_key)
{
	struct weir_conntrack entry = {};
	struct weir_flow_key key;
	weir_u64 mode;
	long error;

	if (!view || !packet || !judgement || !flow_key)
		return 0;
	key = *flow_key;
	mode = judgement->replace ? BPF_ANY : BPF_NOEXIST;
	entry.key_check = key.check;
	entry.revision = view->revision;
	entry.action = judgement->action;
	entry.created = view->now;
	entry.direction = judgement->direction;
	entry.peer_class = judgement->peer_class;
	entry.flags = weir_closing(packet);
	if (judgement->encrypted)
		entry.flags |= WEIR_CT_ENCRYPTED;
	if (packet->key.protocol == IPPROTO_TCP && !packet->opens)
		entry.flags |= WEIR_CT_MIDSTREAM;
	entry.expires = view->now + weir_timeout(packet->key.protocol, entry.flags);
	if (judgement->direction == WEIR_EGRESS)
		weir_count_flow(skb, &entry, WEIR_EGRESS);
	else
		weir_count_flow(skb, &entry, WEIR_INGRESS);
	if (packet->family == WEIR_IPV4) {
		error = bpf_map_update_elem(&conntrack4_new, &key.four, &entry, mode);
		asm volatile("" : "+r"(error));
	} else {
		error = bpf_map_update_elem(&conntrack6_new, &key.six, &entry, mode);
	}
	if (!error || error == -WEIR_EEXIST)
		return 0;
	weir_count_errno(skb, error);
	return error;
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
 *
 * An endpoint routes for nobody: its error goes to whoever sent the quoted packet, or any
 * established flow would be a ticket for payload to anywhere.
 */
WEIR_INLINE bool weir_quoted_key(struct __sk_buff *skb, const struct weir_packet *packet,
				 const struct weir_endpoint *endpoint, struct weir_flow_key *key)
{
	bool ingress = packet->direction == WEIR_INGRESS;
	weir_u32 at = packet->l4 + WEIR_ICMP_HEADER, own;
	struct weir_ports ports = {};
	weir_u8 protocol = 0, first = 0;

	if (packet->family == WEIR_IPV4) {
		struct iphdr ip = {};

		if (at + sizeof(ip) > packet->end || !WEIR_LOAD(skb, at, &ip))
			return false;
		if (ip.version != 4 || ip.ihl < 5 || (ip.frag_off & bpf_htons(WEIR_IPV4_FRAGMENT_MASK)))
			return false;
		own = ingress ? ip.saddr : ip.daddr;
		if (!weir_is_host(endpoint) &&
		    (!(endpoint->flags & WEIR_ENDPOINT_HAS_IPV4) || weir_word_at(endpoint->ipv4, 0) != own))
			return false;
		*(weir_word *)key->four.local = own;
		*(weir_word *)key->four.remote = ingress ? ip.daddr : ip.saddr;
		if (!ingress && weir_word_at(key->four.remote, 0) != weir_word_at(packet->key.remote, 3))
			return false;
		protocol = ip.protocol;
		at += ip.ihl * 4;
	} else {
		weir_u64 extensions;

		/* Piece by piece: the whole header is more than is left of the stack. */
		if (at + sizeof(struct ipv6hdr) > packet->end || !WEIR_LOAD(skb, at, &first) || first >> 4 != 6 ||
		    !WEIR_LOAD(skb, at + offsetof(struct ipv6hdr, nexthdr), &protocol) ||
		    !WEIR_LOAD(skb, at + (ingress ? 8 : 24), &key->six.local) ||
		    !WEIR_LOAD(skb, at + (ingress ? 24 : 8), &key->six.remote))
			return false;
		if (!weir_own(endpoint, WEIR_IPV6, key->six.local) ||
		    (!ingress && !weir_same_ipv6(key->six.remote, packet->key.remote)))
			return false;
		extensions = weir_walk_ipv6_extensions(skb, protocol, at + sizeof(struct ipv6hdr), packet->end);
		if (extensions >> WEIR_EXTENSIONS_REASON_SHIFT)
			return false;
		protocol = extensions;
		if (protocol == IPPROTO_FRAGMENT)
			return false;
		at = (weir_u32)extensions >> WEIR_EXTENSIONS_OFFSET_SHIFT;
	}
	if (protocol == (packet->family == WEIR_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
		if (at + WEIR_ICMP_HEADER > packet->end || !WEIR_LOAD(skb, at, &first) ||
		    !weir_is_echo(packet->family, first) || !WEIR_LOAD(skb, at + 4, &ports.source_be))
			return false;
		ports.destination_be = ports.source_be;
	} else if (weir_has_ports(protocol)) {
		if (at + sizeof(ports) > packet->end || !WEIR_LOAD(skb, at, &ports))
			return false;
	} else if (at > packet->end) {
		return false;
	}
	if (packet->family == WEIR_IPV4) {
		key->four.owner = weir_flow_interface(skb, endpoint) << WEIR_OWNER_INTERFACE_SHIFT | protocol;
		key->four.local_port_be = ingress ? ports.source_be : ports.destination_be;
		key->four.remote_port_be = ingress ? ports.destination_be : ports.source_be;
		key->check = WEIR_KEY_CHECK(&key->four);
	} else {
		key->six.owner = weir_flow_interface(skb, endpoint) << WEIR_OWNER_INTERFACE_SHIFT | protocol;
		key->six.local_port_be = ingress ? ports.source_be : ports.destination_be;
		key->six.remote_port_be = ingress ? ports.destination_be : ports.source_be;
		key->check = WEIR_KEY_CHECK(&key->six);
	}
	return true;
}

/* Whether an ICMP error is about a flow that the current policy allowed. It does not touch the flow. */
WEIR_STEP int weir_related(struct __sk_buff *skb, const struct weir_view *view, const struct weir_endpoint *endpoint,
			   const struct weir_packet *packet)
{
	const struct weir_conntrack *entry;
	struct weir_flow_key key = {};
	struct weir_flow flow = {};

	if (!view || !endpoint || !packet)
		return false;
	if (!weir_quoted_key(skb, packet, endpoint, &key))
		return false;
	entry = weir_find_established(packet->family, &key);
	if (entry && weir_read_flow(entry, key.check, view->now, &flow) && flow.revision == (weir_u32)view->revision)
		return true;
	entry = weir_find_new(packet->family, &key);
	return entry && weir_read_flow(entry, key.check, view->now, &flow) && flow.revision == (weir_u32)view->revision;
}

#endif
