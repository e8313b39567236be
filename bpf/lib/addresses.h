/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which addresses a packet may carry at an endpoint's interface, whatever the policy. */
#ifndef WEIR_ADDRESSES_H
#define WEIR_ADDRESSES_H

#include "packet.h"

WEIR_INLINE bool weir_ipv4_within(weir_u32 address_be, weir_u32 prefix, weir_u32 mask)
{
	return (address_be & bpf_htonl(mask)) == bpf_htonl(prefix);
}

WEIR_INLINE bool weir_ipv4_multicast(weir_u32 address_be)
{
	return weir_ipv4_within(address_be, 0xe0000000, 0xf0000000);
}

WEIR_INLINE bool weir_ipv4_broadcast(weir_u32 address_be)
{
	return address_be == 0xffffffff;
}

WEIR_INLINE bool weir_ipv4_link_local(weir_u32 address_be)
{
	return weir_ipv4_within(address_be, 0xa9fe0000, 0xffff0000);
}

WEIR_INLINE bool weir_ipv6_multicast(const weir_u8 *address)
{
	return address[0] == 0xff;
}

WEIR_INLINE bool weir_ipv6_link_local(const weir_u8 *address)
{
	return weir_ipv4_within(weir_word_at(address, 0), 0xfe800000, 0xffc00000);
}

WEIR_INLINE bool weir_ipv6_ends_in(const weir_u8 *address, weir_u32 third, weir_u32 fourth)
{
	return !weir_word_at(address, 0) && !weir_word_at(address, 1) &&
	       weir_word_at(address, 2) == bpf_htonl(third) && weir_word_at(address, 3) == bpf_htonl(fourth);
}

WEIR_INLINE bool weir_ipv6_unspecified(const weir_u8 *address)
{
	return weir_ipv6_ends_in(address, 0, 0);
}

WEIR_INLINE bool weir_ipv6_loopback(const weir_u8 *address)
{
	return weir_ipv6_ends_in(address, 0, 1);
}

WEIR_INLINE bool weir_ipv6_v4_mapped(const weir_u8 *address)
{
	return !weir_word_at(address, 0) && !weir_word_at(address, 1) && weir_word_at(address, 2) == bpf_htonl(0xffff);
}

/* Multicast in either family, or the IPv4 broadcast address. */
WEIR_INLINE bool weir_to_many(weir_u8 family, const weir_u8 *address)
{
	weir_u32 last = weir_word_at(address, 3);

	return family == WEIR_IPV4 ? weir_ipv4_multicast(last) || weir_ipv4_broadcast(last) : weir_ipv6_multicast(address);
}

/* The node itself, rather than a pod on it. */
WEIR_INLINE bool weir_is_host(const struct weir_endpoint *endpoint)
{
	return endpoint->flags & WEIR_ENDPOINT_HOST;
}

/* The endpoint's own address of that family; never true for a family that it does not have. The host has them all. */
WEIR_INLINE bool weir_own(const struct weir_endpoint *endpoint, weir_u8 family, const weir_u8 *address)
{
	if (weir_is_host(endpoint))
		return true;
	if (family == WEIR_IPV4)
		return (endpoint->flags & WEIR_ENDPOINT_HAS_IPV4) &&
		       weir_word_at(endpoint->ipv4, 0) == weir_word_at(address, 3);
	return (endpoint->flags & WEIR_ENDPOINT_HAS_IPV6) && weir_same_ipv6(endpoint->ipv6, address);
}

WEIR_INLINE int weir_check_ipv4(struct weir_packet *packet, const struct weir_endpoint *endpoint, int direction)
{
	weir_u32 source = weir_word_at(weir_source(packet, direction), 3);
	weir_u32 destination = weir_word_at(weir_destination(packet, direction), 3);
	bool own = weir_own(endpoint, WEIR_IPV4, packet->key.local);
	weir_u32 other = direction == WEIR_EGRESS ? destination : source;

	if (weir_ipv4_multicast(source) || weir_ipv4_within(source, 0x7f000000, 0xff000000) ||
	    weir_ipv4_broadcast(source))
		return WEIR_REASON_MARTIAN_SOURCE;
	if (direction == WEIR_EGRESS) {
		if (!own)
			return WEIR_REASON_SOURCE_ADDRESS;
	} else if (!own && !weir_ipv4_multicast(destination) && !weir_ipv4_broadcast(destination)) {
		return WEIR_REASON_NOT_FOR_ENDPOINT;
	}
	return weir_ipv4_link_local(other) && !weir_is_host(endpoint) ? WEIR_REASON_LINK_LOCAL : WEIR_REASON_NONE;
}

WEIR_INLINE int weir_check_ipv6(struct weir_packet *packet, const struct weir_endpoint *endpoint, int direction)
{
	const weir_u8 *source = weir_source(packet, direction);
	const weir_u8 *destination = weir_destination(packet, direction);
	bool own = weir_own(endpoint, WEIR_IPV6, packet->key.local);

	if (weir_ipv6_multicast(source) || weir_ipv6_loopback(source))
		return WEIR_REASON_MARTIAN_SOURCE;
	if (weir_ipv6_v4_mapped(source) || weir_ipv6_v4_mapped(destination))
		return WEIR_REASON_V4_MAPPED;
	if (direction == WEIR_EGRESS) {
		if (!own &&
		    !(packet->link_control && (weir_ipv6_link_local(source) || weir_ipv6_unspecified(source))))
			return WEIR_REASON_SOURCE_ADDRESS;
	} else if (!own && !weir_ipv6_multicast(destination) &&
		   !(packet->neighbour && weir_ipv6_link_local(destination))) {
		return WEIR_REASON_NOT_FOR_ENDPOINT;
	}
	return weir_ipv6_link_local(direction == WEIR_EGRESS ? destination : source) && !packet->link_control &&
			       !weir_is_host(endpoint)
		       ? WEIR_REASON_LINK_LOCAL
		       : WEIR_REASON_NONE;
}

WEIR_INLINE int weir_check_addresses(struct weir_packet *packet, const struct weir_endpoint *endpoint, int direction)
{
	return packet->family == WEIR_IPV4 ? weir_check_ipv4(packet, endpoint, direction)
					   : weir_check_ipv6(packet, endpoint, direction);
}

#endif
