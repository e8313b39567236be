/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Peers whose traffic is encrypted: through a tunnel or not at all, whatever policy says. */
#ifndef WEIR_TUNNEL_H
#define WEIR_TUNNEL_H

#include "packet.h"
#include "policy.h"

enum { WEIR_AF_INET = 2, WEIR_AF_INET6 = 10 };

WEIR_INLINE bool weir_is_tunnel(weir_u32 first, weir_u32 second, weir_u32 ifindex)
{
	return ifindex && (ifindex == first || ifindex == second);
}

/* Where the node would forward the packet to, or 0. A neighbour is not needed, nor that the packet fits. */
WEIR_STEP weir_u32 weir_route(struct __sk_buff *skb, const struct weir_packet *packet)
{
	struct bpf_fib_lookup route = {};
	long result;

	if (!packet)
		return 0;
	route.ifindex = skb->ifindex;
	if (packet->family == WEIR_IPV4) {
		route.family = WEIR_AF_INET;
		route.ipv4_src = weir_word_at(packet->key.local, 3);
		route.ipv4_dst = weir_word_at(packet->key.remote, 3);
	} else {
		route.family = WEIR_AF_INET6;
		*(struct weir_words4 *)route.ipv6_src = *(const struct weir_words4 *)packet->key.local;
		*(struct weir_words4 *)route.ipv6_dst = *(const struct weir_words4 *)packet->key.remote;
	}
	result = bpf_fib_lookup(skb, &route, sizeof(route), 0);
	return result == BPF_FIB_LKUP_RET_SUCCESS || result == BPF_FIB_LKUP_RET_NO_NEIGH ||
			       result == BPF_FIB_LKUP_RET_FRAG_NEEDED
		       ? route.ifindex
		       : 0;
}

/*
 * NONE unless the peer's traffic is to be encrypted and this packet is not. To the node itself other nodes' pods speak
 * in clear: node addresses are not routed through tunnels.
 */
WEIR_STEP int weir_check_tunnel(struct __sk_buff *skb, const struct weir_view *view,
				const struct weir_endpoint *endpoint, const struct weir_packet *packet,
				struct weir_judgement *judgement)
{
	const struct weir_peer *peer;
	weir_u32 ifindex;

	if (!view || !endpoint || !packet || !judgement)
		return WEIR_REASON_NO_SLOT;
	if (weir_is_host(endpoint) && packet->direction == WEIR_INGRESS)
		return WEIR_REASON_NONE;
	peer = weir_find_peer(view->slot, packet->family, packet->key.remote);
	if (!peer)
		return WEIR_REASON_NO_VERDICT;
	if (!(peer->flags & WEIR_PEER_ENCRYPTED))
		return WEIR_REASON_NONE;
	judgement->encrypted = true;
	if (weir_is_host(endpoint))
		ifindex = skb->ifindex;
	else if (packet->direction == WEIR_INGRESS)
		ifindex = skb->ingress_ifindex;
	else
		ifindex = weir_route(skb, packet);
	return weir_is_tunnel(view->tunnels[0], view->tunnels[1], ifindex) ? WEIR_REASON_NONE
									   : WEIR_REASON_UNENCRYPTED;
}

#endif
