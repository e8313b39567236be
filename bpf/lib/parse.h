/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From the first byte of the frame to the L4 header. A packet that cannot be read is dropped. */
#ifndef WEIR_PARSE_H
#define WEIR_PARSE_H

#include <linux/ip.h>
#include <linux/ipv6.h>

#include "addresses.h"
#include "packet.h"

enum {
	WEIR_IPOPT_END = 0,
	WEIR_IPOPT_NOP = 1,
	WEIR_IPOPT_LSRR = 131,
	WEIR_IPOPT_SSRR = 137,
	WEIR_IPV4_OPTION_BYTES = 40,
	WEIR_IPV4_FRAGMENT_MASK = 0x3fff, /* more fragments, offset */
	WEIR_IPV4_MORE_FRAGMENTS = 0x2000,
	WEIR_IPV6_MORE_FRAGMENTS = 1,
	WEIR_DATAGRAM_MAX = 65535,
	WEIR_IPPROTO_MOBILITY = 135,
	WEIR_EXTENSIONS_MAX = 8,
	WEIR_VLAN_ID_MASK = 0x0fff,
};

/* <linux/if_arp.h> needs the C library's headers, so its one constant is here. */
enum { WEIR_ARP_ETHERNET = 1 };

struct weir_arp {
	__be16 hardware_type;
	__be16 protocol_type;
	weir_u8 hardware_length;
	weir_u8 protocol_length;
	__be16 operation;
	weir_u8 sender_hardware[6];
	__be16 sender_be[2]; /* the address is not aligned */
	weir_u8 target_hardware[6];
	__be16 target_be[2];
};
_Static_assert(sizeof(struct weir_arp) == 28, "ARP for Ethernet and IPv4");

/* What an endpoint may say about itself on its link. */
WEIR_INLINE int weir_check_arp(struct __sk_buff *skb, const struct weir_packet *packet,
			       const struct weir_endpoint *endpoint)
{
	struct weir_arp arp = {};

	if (!WEIR_READ(skb, packet->l3, &arp))
		return WEIR_REASON_ARP;
	if (arp.hardware_type != bpf_htons(WEIR_ARP_ETHERNET) || arp.protocol_type != bpf_htons(ETH_P_IP) ||
	    arp.hardware_length != ETH_ALEN || arp.protocol_length != 4)
		return WEIR_REASON_ARP;
	if (!(endpoint->flags & WEIR_ENDPOINT_HAS_IPV4))
		return WEIR_REASON_ARP;
	if (!arp.sender_be[0] && !arp.sender_be[1])
		return WEIR_REASON_NONE; /* a probe for duplicates */
	if (__builtin_memcmp(arp.sender_be, endpoint->ipv4, 4))
		return WEIR_REASON_ARP;
	return WEIR_REASON_NONE;
}

/*
 * The options of an IPv4 header, from `at` to `end`. The kind is looked at before the length: a
 * source route is named as one even where it is malformed. End-of-list ends the walk.
 */
WEIR_STEP int weir_walk_ipv4_options(struct __sk_buff *skb, weir_u32 at, weir_u32 end)
{
	for (int i = 0; i < WEIR_IPV4_OPTION_BYTES; i++) {
		weir_u8 kind = 0, length = 0;

		if (at >= end)
			return WEIR_REASON_NONE;
		if (!WEIR_LOAD(skb, at, &kind))
			return WEIR_REASON_TRUNCATED;
		if (kind == WEIR_IPOPT_END)
			return WEIR_REASON_NONE;
		if (kind == WEIR_IPOPT_NOP) {
			at++;
			continue;
		}
		if (kind == WEIR_IPOPT_LSRR || kind == WEIR_IPOPT_SSRR)
			return WEIR_REASON_IPV4_SOURCE_ROUTE;
		if (at + 2 > end)
			return WEIR_REASON_IP_HEADER;
		if (!WEIR_LOAD(skb, at + 1, &length))
			return WEIR_REASON_TRUNCATED;
		if (length < 2 || at + length > end)
			return WEIR_REASON_IP_HEADER;
		at += length;
	}
	return WEIR_REASON_NONE;
}

/*
 * Where the extension headers end: 0 or a reason in the high half; offset << 8 | protocol below. At
 * a fragment header the walk stops, and the caller decides.
 */
enum { WEIR_EXTENSIONS_REASON_SHIFT = 32, WEIR_EXTENSIONS_OFFSET_SHIFT = 8 };

WEIR_INLINE bool weir_is_extension(weir_u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_AH ||
	       protocol == IPPROTO_DSTOPTS || protocol == WEIR_IPPROTO_MOBILITY;
}

/*
 * IPv6 extension headers from `at`, the first of kind `protocol`, inside `end`. Each is judged as
 * it comes; those before and those behind a fragment header are counted apart.
 */
WEIR_STEP weir_u64 weir_walk_ipv6_extensions(struct __sk_buff *skb, weir_u32 protocol, weir_u32 at, weir_u32 end)
{
	/* Unrolled: Linux 6.1 refuses a loop whose first instruction follows a call. */
#pragma unroll
	for (int i = 0; i <= WEIR_EXTENSIONS_MAX; i++) {
		weir_u8 header[4] = {}; /* next header, length, routing type, segments left */
		weir_u32 length;

		if (!weir_is_extension(protocol))
			return (weir_u64)at << WEIR_EXTENSIONS_OFFSET_SHIFT | (protocol & 0xff);
		if (i == WEIR_EXTENSIONS_MAX || at + 8 > end || !WEIR_LOAD(skb, at, &header))
			break;
		length = protocol == IPPROTO_AH ? (header[1] + 2) * 4 : (header[1] + 1) * 8;
		if (at + length > end)
			break;
		if (protocol == IPPROTO_ROUTING && header[3])
			return (weir_u64)WEIR_REASON_IPV6_ROUTING << WEIR_EXTENSIONS_REASON_SHIFT;
		protocol = header[0];
		at += length;
	}
	return (weir_u64)WEIR_REASON_IPV6_EXTENSION << WEIR_EXTENSIONS_REASON_SHIFT;
}

/* One fragment's place in its datagram; a reason where no datagram can have it. */
WEIR_INLINE int weir_place_fragment(struct weir_packet *packet, weir_u32 at, weir_u32 length, bool more)
{
	packet->fragment_payload = packet->l4;
	if (at + length > WEIR_DATAGRAM_MAX || !length || (more && length % 8))
		return WEIR_REASON_FRAGMENT;
	packet->fragment_at = at;
	packet->later_fragment = at;
	packet->first_fragment = !at;
	return WEIR_REASON_NONE;
}

/* A priority tag (VLAN 0) names no VLAN and is stepped over, wherever it is; any other is refused. */
WEIR_INLINE int weir_check_vlan(struct __sk_buff *skb, struct weir_packet *packet, weir_u16 *type_be)
{
	struct {
		weir_u16 tag_be;
		weir_u16 type_be;
	} header = {};

	if (skb->vlan_present &&
	    ((skb->vlan_tci & WEIR_VLAN_ID_MASK) || skb->vlan_proto != bpf_htons(ETH_P_8021Q)))
		return WEIR_REASON_VLAN;
	if (*type_be == bpf_htons(ETH_P_8021AD))
		return WEIR_REASON_VLAN;
	if (*type_be != bpf_htons(ETH_P_8021Q))
		return WEIR_REASON_NONE;
	if (!WEIR_READ(skb, packet->l3, &header))
		return WEIR_REASON_TRUNCATED;
	if (header.tag_be & bpf_htons(WEIR_VLAN_ID_MASK))
		return WEIR_REASON_VLAN;
	packet->l3 += sizeof(header);
	*type_be = header.type_be; /* a second tag is no type that is known */
	return WEIR_REASON_NONE;
}

WEIR_INLINE int weir_parse_ipv4(struct __sk_buff *skb, struct weir_packet *packet, int direction)
{
	struct iphdr ip = {};
	weir_u32 header, total;
	weir_u16 fragment;

	if (!WEIR_READ(skb, packet->l3, &ip))
		return WEIR_REASON_TRUNCATED;
	packet->family = WEIR_IPV4;
	packet->key.protocol = ip.protocol;
	packet->hop_limit = ip.ttl;
	weir_set_ipv4(weir_source(packet, direction), ip.saddr);
	weir_set_ipv4(weir_destination(packet, direction), ip.daddr);

	header = ip.ihl * 4;
	total = bpf_ntohs(ip.tot_len);
	/* Larger than the field can say, which only segmentation offload makes (BIG TCP). */
	if (!total && skb->len - packet->l3 > WEIR_DATAGRAM_MAX)
		total = skb->len - packet->l3;
	if (ip.version != 4 || header < sizeof(ip))
		return WEIR_REASON_IP_HEADER;
	if (packet->l3 + header > skb->len)
		return WEIR_REASON_TRUNCATED;
	if (total < header || packet->l3 + total > skb->len)
		return WEIR_REASON_IP_HEADER;
	packet->l4 = packet->l3 + header;
	packet->end = packet->l3 + total;
	fragment = bpf_ntohs(ip.frag_off);
	if (fragment & WEIR_IPV4_FRAGMENT_MASK) {
		bool more = fragment & WEIR_IPV4_MORE_FRAGMENTS;
		int reason;

		packet->fragment_id_be = ip.id;
		reason = weir_place_fragment(packet, (fragment & (WEIR_IPV4_MORE_FRAGMENTS - 1)) * 8, total - header, more);
		if (reason)
			return reason;
	}
	if (header > sizeof(ip))
		return weir_walk_ipv4_options(skb, packet->l3 + sizeof(ip), packet->l3 + header);
	return WEIR_REASON_NONE;
}

WEIR_INLINE int weir_parse_ipv6_fragment(struct __sk_buff *skb, struct weir_packet *packet)
{
	struct {
		weir_u8 next;
		weir_u8 reserved;
		weir_u16 place_be;
		weir_u32 id_be;
	} header = {};
	weir_u32 at = packet->l4, place;
	weir_u64 extensions;
	int reason;

	if (at + sizeof(header) > packet->end || !WEIR_LOAD(skb, at, &header))
		return WEIR_REASON_IPV6_EXTENSION;
	at += sizeof(header);
	place = bpf_ntohs(header.place_be);
	packet->l4 = at;
	packet->key.protocol = header.next;
	/* All of it in one fragment is no fragment (RFC 6946). */
	if (place & ~6u) {
		packet->fragment_id_be = header.id_be;
		reason = weir_place_fragment(packet, place & ~7u, packet->end - at, place & WEIR_IPV6_MORE_FRAGMENTS);
		if (reason || packet->later_fragment)
			return reason;
	}
	extensions = weir_walk_ipv6_extensions(skb, header.next, at, packet->end);
	if (extensions >> WEIR_EXTENSIONS_REASON_SHIFT)
		return extensions >> WEIR_EXTENSIONS_REASON_SHIFT;
	packet->key.protocol = extensions;
	packet->l4 = (weir_u32)extensions >> WEIR_EXTENSIONS_OFFSET_SHIFT;
	/* A fragment of a fragment. */
	return packet->key.protocol == IPPROTO_FRAGMENT ? WEIR_REASON_FRAGMENT : WEIR_REASON_NONE;
}

WEIR_INLINE int weir_parse_ipv6(struct __sk_buff *skb, struct weir_packet *packet, int direction)
{
	struct ipv6hdr ip = {};
	weir_u32 payload;
	weir_u64 extensions;

	if (!WEIR_READ(skb, packet->l3, &ip))
		return WEIR_REASON_TRUNCATED;
	packet->family = WEIR_IPV6;
	packet->key.protocol = ip.nexthdr;
	packet->hop_limit = ip.hop_limit;
	weir_set_ipv6(weir_source(packet, direction), &ip.saddr);
	weir_set_ipv6(weir_destination(packet, direction), &ip.daddr);

	packet->l4 = packet->l3 + sizeof(ip);
	payload = bpf_ntohs(ip.payload_len);
	/* As in IPv4; before Linux 7 with a hop-by-hop header that says so, too. */
	if (!payload && skb->len - packet->l4 > WEIR_DATAGRAM_MAX)
		payload = skb->len - packet->l4;
	packet->end = packet->l4 + payload;
	if (ip.version != 6 || packet->end > skb->len)
		return WEIR_REASON_IP_HEADER;
	if (weir_is_extension(ip.nexthdr)) {
		extensions = weir_walk_ipv6_extensions(skb, ip.nexthdr, packet->l4, packet->end);
		if (extensions >> WEIR_EXTENSIONS_REASON_SHIFT)
			return extensions >> WEIR_EXTENSIONS_REASON_SHIFT;
		packet->key.protocol = extensions;
		packet->l4 = (weir_u32)extensions >> WEIR_EXTENSIONS_OFFSET_SHIFT;
	}
	return packet->key.protocol == IPPROTO_FRAGMENT ? weir_parse_ipv6_fragment(skb, packet) : WEIR_REASON_NONE;
}

#endif
