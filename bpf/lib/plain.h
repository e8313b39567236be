/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The short way for packets as nearly all are: IPv4 without options or IPv6 without extension headers,
 * no fragment and no tag, TCP or UDP, headers in the linear part and lengths that fit. An established
 * flow is found with one lookup, one without a reply with two, and nothing is written to the stack but the key.
 */
#ifndef WEIR_PLAIN_H
#define WEIR_PLAIN_H

#include <linux/ip.h>
#include <linux/ipv6.h>

#include "conntrack.h"
#include "packet.h"
#include "parse.h"
#include "tunnel.h"

/* What the long way would have read of a plain packet; its addresses are in its flow's key. */
struct weir_plain {
	weir_u32 l3;
	weir_u32 available; /* from the L4 header to the packet's end */
	weir_u32 ports;     /* as the key has them: remote, then local */
	weir_u8 family;     /* 0: the packet is not plain, and nothing is said about it */
	weir_u8 protocol;
	weir_u8 tcp_flags;
	weir_u8 tcp_header; /* bytes */
};

WEIR_INLINE bool weir_opens(const struct weir_plain *plain)
{
	/* Flags are TCP's alone. */
	return (plain->tcp_flags & (WEIR_TCP_SYN | WEIR_TCP_ACK)) == WEIR_TCP_SYN;
}

/* The L4 header; false sends the packet the long way. */
WEIR_INLINE bool weir_read_plain_l4(const void *l4, const void *data_end, struct weir_plain *plain, int direction)
{
	weir_u32 ports;

	if (l4 + WEIR_UDP_HEADER > data_end)
		return false;
	if (plain->protocol == IPPROTO_TCP) {
		const struct weir_tcp_bits *tcp = l4 + WEIR_TCP_BITS_OFFSET;

		if ((const void *)(tcp + 1) > data_end)
			return false;
		plain->tcp_header = (tcp->data_offset >> 4) * 4;
		plain->tcp_flags = tcp->flags;
		if (plain->tcp_header < WEIR_TCP_HEADER || plain->tcp_header > plain->available)
			return false;
	} else if (plain->protocol != IPPROTO_UDP || plain->available < WEIR_UDP_HEADER) {
		return false;
	}
	ports = *(const weir_word *)l4; /* source, destination */
	plain->ports = direction == WEIR_INGRESS ? ports : ports >> 16 | ports << 16;
	return true;
}

/*
 * Reads a plain packet and its flow's key. Words are stored whole, as the lookup will load them: a load
 * of what two stores have left waits for both.
 */
WEIR_INLINE void weir_read_plain(struct __sk_buff *skb, struct weir_plain *plain, struct weir_flow_key *key,
				 int direction, int link)
{
	const void *data = (const void *)(long)skb->data, *data_end = (const void *)(long)skb->data_end;
	weir_u32 l3 = link == WEIR_LINK_ETHERNET ? ETH_HLEN : 0;
	weir_u32 owner = skb->ifindex << WEIR_OWNER_INTERFACE_SHIFT;
	weir_u16 type_be = skb->protocol;

	plain->family = 0;
	plain->tcp_flags = 0;
	plain->l3 = l3;
	if (skb->vlan_present)
		return;
	if (link == WEIR_LINK_ETHERNET) {
		const struct ethhdr *ethernet = data;

		if ((const void *)(ethernet + 1) > data_end)
			return;
		type_be = ethernet->h_proto;
	}
	if (type_be == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = data + l3;
		weir_u32 remote, local, total;
		weir_u64 *words = (weir_u64 *)&key->four;

		if ((const void *)(ip + 1) > data_end || *(const weir_u8 *)ip != 0x45 ||
		    (ip->frag_off & bpf_htons(WEIR_IPV4_FRAGMENT_MASK)))
			return;
		total = bpf_ntohs(ip->tot_len);
		if (total < sizeof(*ip) || l3 + total > skb->len)
			return;
		plain->available = total - sizeof(*ip);
		plain->protocol = ip->protocol;
		if (!weir_read_plain_l4(ip + 1, data_end, plain, direction))
			return;
		remote = direction == WEIR_EGRESS ? ip->daddr : ip->saddr;
		local = direction == WEIR_EGRESS ? ip->saddr : ip->daddr;
		owner |= plain->protocol;
		words[0] = owner | (weir_u64)remote << 32;
		words[1] = local | (weir_u64)plain->ports << 32;
		key->check = weir_fold_check(weir_check_pair(owner, remote, 0) + weir_check_pair(local, plain->ports, 1));
		plain->family = WEIR_IPV4;
	} else if (type_be == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = data + l3;

		if ((const void *)(ip + 1) > data_end || ip->version != 6)
			return;
		plain->available = bpf_ntohs(ip->payload_len);
		if (l3 + sizeof(*ip) + plain->available > skb->len)
			return;
		plain->protocol = ip->nexthdr;
		if (!weir_read_plain_l4(ip + 1, data_end, plain, direction))
			return;
		*(weir_word *)&key->six.owner = owner | plain->protocol;
		*(weir_word *)&key->six.remote_port_be = plain->ports;
		weir_set_ipv6(key->six.remote, direction == WEIR_EGRESS ? &ip->daddr : &ip->saddr);
		weir_set_ipv6(key->six.local, direction == WEIR_EGRESS ? &ip->saddr : &ip->daddr);
		key->check = WEIR_KEY_CHECK(&key->six);
		plain->family = WEIR_IPV6;
	}
}

/* The packet as the long way would have read it. */
WEIR_INLINE void weir_expand_plain(const struct weir_plain *plain, const struct weir_flow_key *key,
				   struct weir_packet *packet)
{
	packet->family = plain->family;
	packet->l3 = plain->l3;
	if (plain->family == WEIR_IPV4) {
		weir_set_ipv4(packet->key.remote, *(const weir_word *)key->four.remote);
		weir_set_ipv4(packet->key.local, *(const weir_word *)key->four.local);
		packet->l4 = plain->l3 + sizeof(struct iphdr);
	} else {
		weir_set_ipv6(packet->key.remote, key->six.remote);
		weir_set_ipv6(packet->key.local, key->six.local);
		packet->l4 = plain->l3 + sizeof(struct ipv6hdr);
	}
	packet->end = packet->l4 + plain->available;
	packet->key.remote_port_be = plain->ports;
	packet->key.local_port_be = plain->ports >> 16;
	packet->port_be = packet->direction == WEIR_EGRESS ? packet->key.remote_port_be : packet->key.local_port_be;
	packet->key.protocol = plain->protocol;
	packet->tcp_flags = plain->tcp_flags;
	packet->tcp_header = plain->tcp_header;
	packet->opens = weir_opens(plain);
}

/*
 * Whether a plain packet rides a flow that the current policy allowed: then it is counted and done. Everything that
 * changes more than the flow's end of life goes the long way; of a young flow that is its first reply, and what its
 * originator says after one.
 */
WEIR_INLINE bool weir_ride_plain(struct __sk_buff *skb, struct weir_conntrack *entry, const struct weir_plain *plain,
				 const struct weir_flow_key *key, weir_u32 revision, weir_u32 now, int direction,
				 bool young, const volatile struct weir_control *committed, weir_u32 *action)
{
	bool replied, reply;
	struct weir_flow flow;
	weir_u32 expires;

	if (!weir_read_flow(entry, key->check, now, &flow) || flow.revision != revision ||
	    (plain->tcp_flags & (WEIR_TCP_SYN | WEIR_TCP_FIN | WEIR_TCP_RST)))
		return false;
	/* Routes can change between two packets: what leaves is looked after on the long way. */
	if ((flow.flags & WEIR_CT_ENCRYPTED) &&
	    (direction == WEIR_EGRESS ||
	     !weir_is_tunnel(committed->tunnels[0], committed->tunnels[1], skb->ingress_ifindex)))
		return false;
	replied = flow.flags & WEIR_CT_REPLY_SEEN;
	reply = flow.direction != direction;
	if ((young ? replied != reply : !replied) || (reply && (flow.flags & WEIR_CT_MIDSTREAM)))
		return false;
	expires = now + weir_timeout(plain->protocol, flow.flags);
	if (expires != flow.expires)
		entry->expires = expires;
	weir_count_flow(skb, entry, direction);
	*action = flow.action;
	return true;
}

#endif
