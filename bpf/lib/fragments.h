/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Later fragments have no ports: they pass with the first fragment of their datagram, or not at all. */
#ifndef WEIR_FRAGMENTS_H
#define WEIR_FRAGMENTS_H

#include "conntrack.h"
#include "events.h"
#include "packet.h"

WEIR_INLINE void weir_fragment_key(struct __sk_buff *skb, const struct weir_packet *packet,
				   const struct weir_endpoint *endpoint, int direction, struct weir_fragment_key *key)
{
	key->ifindex = weir_flow_interface(skb, endpoint);
	weir_set_ipv6(key->source, direction == WEIR_EGRESS ? packet->key.local : packet->key.remote);
	weir_set_ipv6(key->destination, direction == WEIR_EGRESS ? packet->key.remote : packet->key.local);
	key->id_be = packet->fragment_id_be;
	key->protocol = packet->family == WEIR_IPV4 ? packet->key.protocol : 0;
	key->direction = direction;
}

/*
 * A first fragment has passed: so may the others of its datagram, for a while and under this policy.
 * One that cannot be recorded is no reason to drop it: the others will be.
 */
WEIR_STEP int weir_record_fragment(struct __sk_buff *skb, const struct weir_view *view,
				   const struct weir_endpoint *endpoint, const struct weir_packet *packet, weir_u32 action)
{
	struct weir_fragment_key key = {};
	struct weir_fragment value = {};
	weir_u32 header;
	long error;

	if (!view || !endpoint || !packet)
		return 0;
	weir_fragment_key(skb, packet, endpoint, packet->direction, &key);
	switch (packet->key.protocol) {
	case IPPROTO_TCP:
		header = packet->tcp_header;
		break;
	case IPPROTO_SCTP:
		header = WEIR_SCTP_HEADER;
		break;
	default: /* nobody judges what lies behind */
		header = WEIR_UDP_HEADER;
	}
	value.key_check = WEIR_KEY_CHECK(&key);
	value.revision = view->revision;
	value.action = action;
	value.expires = view->now + WEIR_TIMEOUT_FRAGMENT;
	value.header_end = packet->l4 - packet->fragment_payload + header;
	error = bpf_map_update_elem(&fragments, &key, &value, BPF_ANY);
	if (error)
		weir_count_errno(skb, error);
	return 0;
}

/* NONE where the first fragment passed under this policy and this one does not reach into its header. */
WEIR_STEP int weir_follow_fragment(struct __sk_buff *skb, const struct weir_view *view,
				   const struct weir_endpoint *endpoint, const struct weir_packet *packet)
{
	struct weir_fragment_key key = {};
	const volatile struct weir_fragment *first;
	weir_u32 action;

	if (!view || !endpoint || !packet)
		return WEIR_REASON_NO_SLOT;
	weir_fragment_key(skb, packet, endpoint, packet->direction, &key);
	first = bpf_map_lookup_elem(&fragments, &key);
	if (!first || first->revision != (weir_u32)view->revision || view->now > first->expires ||
	    packet->fragment_at < first->header_end)
		return WEIR_REASON_FRAGMENT;
	action = first->action;
	/* Last, as in conntrack: the entry was this datagram's all along. */
	if (first->key_check != WEIR_KEY_CHECK(&key))
		return WEIR_REASON_FRAGMENT;
	weir_count_rule(skb, view->slot, action);
	return WEIR_REASON_NONE;
}

#endif
