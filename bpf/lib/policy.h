/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The policy of one slot: who the peer is, and what its row says. Everything hard was settled by the compiler. */
#ifndef WEIR_POLICY_H
#define WEIR_POLICY_H

#include <linux/in.h>

#include "addresses.h"
#include "maps.h"
#include "packet.h"

enum {
	WEIR_PORT_VXLAN = 4789,
	WEIR_PORT_VXLAN_OLD = 8472,
	WEIR_PORT_GENEVE = 6081,
};

WEIR_INLINE weir_u32 weir_action_kind(weir_u32 action)
{
	return action >> WEIR_ACTION_KIND_SHIFT;
}

/* Whose an address is; NULL where the compiler's promises do not hold. */
WEIR_INLINE const struct weir_peer *weir_find_peer(weir_u32 slot, weir_u8 family, const weir_u8 *address)
{
	const struct weir_peer *peer;
	void *inner;

	if (family == WEIR_IPV4) {
		struct weir_cidr4 cidr = { .prefix_length = 32 };

		*(weir_word *)cidr.bytes = weir_word_at(address, 3);
		inner = WEIR_SLOT_INNER(ipcache4, slot);
		if (!inner)
			return NULL;
		peer = bpf_map_lookup_elem(inner, cidr.bytes);
		return peer ? peer : WEIR_SLOT_LOOKUP(cidrs4, slot, &cidr);
	} else {
		struct weir_cidr6 cidr = { .prefix_length = 128 };

		weir_set_ipv6(cidr.bytes, address);
		inner = WEIR_SLOT_INNER(ipcache6, slot);
		if (!inner)
			return NULL;
		peer = bpf_map_lookup_elem(inner, cidr.bytes);
		return peer ? peer : WEIR_SLOT_LOOKUP(cidrs6, slot, &cidr);
	}
}

/*
 * What a packet on a node's device is to the node: NONE is its own, to be judged; PASSES is
 * forwarded, which the endpoints' own programs judge. What leaves forwarded under the node's
 * address has borrowed it: the flow is kept, so that its replies are not taken for somebody's call.
 */
WEIR_STEP int weir_check_host(struct __sk_buff *skb, const struct weir_view *view, const struct weir_packet *packet,
			      struct weir_judgement *judgement)
{
	const struct weir_peer *peer;

	if (!view || !packet || !judgement)
		return WEIR_REASON_NO_SLOT;
	if (packet->direction == WEIR_EGRESS && !skb->ingress_ifindex)
		return WEIR_REASON_NONE;
	if (packet->direction == WEIR_INGRESS &&
	    (weir_to_many(packet->family, packet->key.local) ||
	     (packet->family == WEIR_IPV6 && weir_ipv6_link_local(packet->key.local))))
		return WEIR_REASON_NONE;
	peer = weir_find_peer(view->slot, packet->family, packet->key.local);
	if (!peer)
		return WEIR_REASON_NO_VERDICT;
	if (!(peer->flags & WEIR_PEER_OWN_NODE))
		return WEIR_PASSES;
	if (packet->direction == WEIR_EGRESS)
		judgement->peer_class = WEIR_PEER_FORWARDED;
	return WEIR_REASON_NONE;
}

WEIR_INLINE bool weir_is_overlay(weir_u8 protocol, weir_u16 port_be)
{
	if (protocol == IPPROTO_UDP)
		return port_be == bpf_htons(WEIR_PORT_VXLAN) || port_be == bpf_htons(WEIR_PORT_VXLAN_OLD) ||
		       port_be == bpf_htons(WEIR_PORT_GENEVE);
	return protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6 || protocol == IPPROTO_GRE;
}

/* An element of `peers`, or 0 where there is none. */
WEIR_INLINE weir_u32 weir_action_at(weir_u32 slot, weir_u32 index)
{
	weir_u32 element = index >> WEIR_ACTIONS_SHIFT;
	const struct weir_actions *actions = WEIR_SLOT_LOOKUP(peers, slot, &element);

	return actions ? actions->words[index & (WEIR_ACTIONS - 1)] : 0;
}

/* The deciding action for (row, group, protocol, port), or 0 where the compiler's promises do not hold. */
WEIR_INLINE weir_u32 weir_resolve(weir_u32 slot, weir_u32 row, weir_u32 group, weir_u8 protocol, weir_u16 port_be)
{
	weir_u32 action = weir_action_at(slot, row + group);

	/* Table 0 is no table: the map is missing, too short or says nothing here. */
	if (!action)
		return 0;
	if (weir_action_kind(action) == WEIR_ACTION_TABLE) {
		struct weir_verdict_key key = {
			.prefix_length = WEIR_VERDICT_PREFIX_PORT,
			.table = action & WEIR_ACTION_ID_MASK,
			.protocol = protocol,
		};
		void *inner = WEIR_SLOT_INNER(verdicts, slot);
		const weir_u32 *found;

		if (!inner)
			return 0;
		__builtin_memcpy(key.port_be, &port_be, sizeof(key.port_be));
		found = bpf_map_lookup_elem(inner, &key);
		action = found ? *found : weir_action_at(slot, row + WEIR_GROUP_DEFAULT);
	}
	return weir_action_kind(action) == WEIR_ACTION_TABLE ? 0 : action;
}

WEIR_INLINE int weir_reason_of(weir_u32 action)
{
	switch (weir_action_kind(action)) {
	case WEIR_ACTION_ALLOW:
		return WEIR_REASON_NONE;
	case WEIR_ACTION_DENY:
		return WEIR_REASON_POLICY_DENY;
	case WEIR_ACTION_DEFAULT_DENY:
		return WEIR_REASON_POLICY_DEFAULT_DENY;
	default:
		return WEIR_REASON_NO_VERDICT;
	}
}

/* Whether audit mode of node, endpoint or policy lets this refusal pass. An endpoint's does not speak for the node. */
WEIR_INLINE bool weir_is_audited(const struct weir_view *view, const struct weir_endpoint *endpoint,
				 const struct weir_judgement *judgement, int reason)
{
	return (reason == WEIR_REASON_POLICY_DENY || reason == WEIR_REASON_POLICY_DEFAULT_DENY) &&
	       (view->audit || (judgement->action & WEIR_ACTION_AUDIT) ||
		((endpoint->flags & WEIR_ENDPOINT_AUDIT) && !judgement->by_host));
}

/*
 * What a local endpoint and the node say to each other passes no device of the node's: the node's
 * side, if it has a policy, is asked here. The action that refuses, or 0.
 */
WEIR_STEP weir_u32 weir_judge_host(const struct weir_view *view, const struct weir_packet *packet,
				   const struct weir_judgement *judgement)
{
	const weir_u32 any_device = 0;
	const struct weir_endpoint *host;
	const struct weir_peer *self;
	weir_u32 action = 0;

	if (!view || !packet || !judgement)
		return 0;
	host = WEIR_SLOT_LOOKUP(endpoints, view->slot, &any_device);
	if (!host)
		return 0;
	self = weir_find_peer(view->slot, packet->family, packet->key.local);
	if (self)
		action = weir_resolve(view->slot,
				      judgement->direction == WEIR_EGRESS ? host->ingress_row : host->egress_row,
				      self->group, packet->key.protocol, judgement->port_be);
	if (weir_action_kind(action) == WEIR_ACTION_ALLOW)
		return 0;
	/* No answer where there must be one refuses, too. */
	return action ? action : (weir_u32)WEIR_ACTION_DEFAULT_DENY << WEIR_ACTION_KIND_SHIFT;
}

/* NONE is an allow. */
WEIR_STEP int weir_judge(const struct weir_view *view, const struct weir_endpoint *endpoint,
			 const struct weir_packet *packet, struct weir_judgement *judgement)
{
	const struct weir_peer *peer;
	bool egress, pod, own_node;
	weir_u32 refused;
	int reason;

	if (!view || !endpoint || !packet || !judgement)
		return WEIR_REASON_NO_SLOT;
	egress = judgement->direction == WEIR_EGRESS;
	pod = !weir_is_host(endpoint);
	own_node = false;
	if (judgement->peer_class == WEIR_PEER_FORWARDED) {
		judgement->action = (weir_u32)WEIR_ACTION_ALLOW << WEIR_ACTION_KIND_SHIFT;
		return WEIR_REASON_NONE;
	} else if (judgement->peer_class == WEIR_PEER_HOST) {
		judgement->group = WEIR_GROUP_HOST;
		own_node = true;
	} else if (judgement->peer_class == WEIR_PEER_MASQUERADED) {
		judgement->group = WEIR_GROUP_MASQUERADED;
	} else if (weir_to_many(packet->family, egress ? packet->key.remote : packet->key.local)) {
		judgement->group = WEIR_GROUP_MULTICAST;
	} else {
		peer = weir_find_peer(view->slot, packet->family, packet->key.remote);
		if (!peer)
			return WEIR_REASON_NO_VERDICT;
		judgement->group = peer->group;
		judgement->identity = peer->identity;
		own_node = peer->flags & WEIR_PEER_OWN_NODE;
		if (pod && !egress && own_node) {
			judgement->group = WEIR_GROUP_MASQUERADED; /* it was forwarded, whoever's address it bears */
			judgement->peer_class = WEIR_PEER_MASQUERADED;
			own_node = false;
		}
		if (pod && egress && (peer->flags & WEIR_PEER_NODE) && (weir_options & WEIR_OPTION_OVERLAY_GUARD) &&
		    weir_is_overlay(packet->key.protocol, judgement->port_be))
			return WEIR_REASON_OVERLAY;
	}
	judgement->action = weir_resolve(view->slot, egress ? endpoint->egress_row : endpoint->ingress_row,
					 judgement->group, packet->key.protocol, judgement->port_be);
	reason = weir_reason_of(judgement->action);
	if (pod && own_node && (!reason || weir_is_audited(view, endpoint, judgement, reason))) {
		refused = weir_judge_host(view, packet, judgement);
		if (refused) {
			judgement->action = refused;
			judgement->by_host = true;
			reason = weir_reason_of(refused);
		}
	}
	return reason;
}

#endif
