/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The L4 header: lengths, ports, what kind of ICMP; and the link control that policy does not judge. */
#ifndef WEIR_L4_H
#define WEIR_L4_H

#include "addresses.h"
#include "maps.h"
#include "packet.h"

enum {
	WEIR_ICMP_ECHO_REPLY = 0,
	WEIR_ICMP_UNREACHABLE = 3,
	WEIR_ICMP_ECHO = 8,
	WEIR_ICMP_TIME_EXCEEDED = 11,
	WEIR_ICMP_PARAMETER = 12,

	WEIR_ICMPV6_UNREACHABLE = 1,
	WEIR_ICMPV6_PARAMETER = 4,
	WEIR_ICMPV6_ECHO = 128,
	WEIR_ICMPV6_ECHO_REPLY = 129,
	WEIR_MLD_QUERY = 130,
	WEIR_MLD_DONE = 132,
	WEIR_ND_ROUTER_SOLICITATION = 133,
	WEIR_ND_ROUTER_ADVERTISEMENT = 134,
	WEIR_ND_NEIGHBOUR_SOLICITATION = 135,
	WEIR_ND_NEIGHBOUR_ADVERTISEMENT = 136,
	WEIR_ND_REDIRECT = 137,
	WEIR_MLD2_REPORT = 143,
	WEIR_ND_TARGET_OFFSET = 8,
};

WEIR_INLINE bool weir_has_ports(weir_u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

WEIR_INLINE bool weir_is_echo(weir_u8 family, weir_u8 type)
{
	return family == WEIR_IPV4 ? type == WEIR_ICMP_ECHO || type == WEIR_ICMP_ECHO_REPLY
				   : type == WEIR_ICMPV6_ECHO || type == WEIR_ICMPV6_ECHO_REPLY;
}

/* What an ICMP type makes of its packet; false where not even the type is there. */
WEIR_INLINE bool weir_classify_icmp(struct __sk_buff *skb, struct weir_packet *packet)
{
	weir_u8 type = 0;

	if (packet->l4 >= packet->end || !WEIR_LOAD(skb, packet->l4, &type))
		return false;
	packet->icmp_type = type;
	packet->port_be = bpf_htons(type);
	packet->echo = weir_is_echo(packet->family, type);
	packet->opens = type == (packet->family == WEIR_IPV4 ? WEIR_ICMP_ECHO : WEIR_ICMPV6_ECHO);
	packet->echo_reply = packet->echo && !packet->opens;
	if (packet->family == WEIR_IPV6 && (weir_options & WEIR_OPTION_LINK_CONTROL)) {
		packet->neighbour = type >= WEIR_ND_ROUTER_SOLICITATION && type <= WEIR_ND_REDIRECT;
		packet->link_control = packet->neighbour || type == WEIR_MLD2_REPORT ||
				       (type >= WEIR_MLD_QUERY && type <= WEIR_MLD_DONE);
	}
	return true;
}

WEIR_INLINE int weir_parse_l4(struct __sk_buff *skb, struct weir_packet *packet, int direction)
{
	weir_u32 available = packet->end - packet->l4; /* never negative: both parsers end inside the packet */
	weir_u8 protocol = packet->key.protocol;
	struct weir_ports ports = {};
	weir_u32 needed;

	packet->icmp = packet->family == WEIR_IPV4 ? protocol == IPPROTO_ICMP : protocol == IPPROTO_ICMPV6;
	if (packet->icmp) {
		weir_u16 identifier_be = 0;

		if (!weir_classify_icmp(skb, packet))
			return WEIR_REASON_L4_HEADER;
		needed = packet->family == WEIR_IPV4 || packet->echo ? WEIR_ICMP_HEADER : WEIR_ICMPV6_HEADER;
		if (available < needed)
			return WEIR_REASON_L4_HEADER;
		if (packet->echo) {
			if (!WEIR_LOAD(skb, packet->l4 + 4, &identifier_be))
				return WEIR_REASON_L4_HEADER;
			packet->key.remote_port_be = identifier_be;
			packet->key.local_port_be = identifier_be;
		}
		return WEIR_REASON_NONE;
	}
	if (!weir_has_ports(protocol))
		return WEIR_REASON_NONE;

	needed = protocol == IPPROTO_TCP ? WEIR_TCP_HEADER : protocol == IPPROTO_UDP ? WEIR_UDP_HEADER : WEIR_SCTP_HEADER;
	if (available < needed || !WEIR_READ(skb, packet->l4, &ports))
		return WEIR_REASON_L4_HEADER;
	packet->port_be = ports.destination_be;
	packet->key.remote_port_be = direction == WEIR_EGRESS ? ports.destination_be : ports.source_be;
	packet->key.local_port_be = direction == WEIR_EGRESS ? ports.source_be : ports.destination_be;
	if (protocol == IPPROTO_TCP) {
		struct weir_tcp_bits tcp = {};

		if (!WEIR_READ(skb, packet->l4 + WEIR_TCP_BITS_OFFSET, &tcp))
			return WEIR_REASON_L4_HEADER;
		if (tcp.data_offset < 5 << 4 || (weir_u32)(tcp.data_offset >> 4) * 4 > available)
			return WEIR_REASON_L4_HEADER;
		packet->tcp_header = (tcp.data_offset >> 4) * 4;
		packet->tcp_flags = tcp.flags;
		packet->opens = (tcp.flags & (WEIR_TCP_SYN | WEIR_TCP_ACK)) == WEIR_TCP_SYN;
	}
	return WEIR_REASON_NONE;
}

enum {
	WEIR_PORT_DHCP_SERVER = 67,
	WEIR_PORT_DHCP_CLIENT = 68,
	WEIR_PORT_DHCPV6_CLIENT = 546,
	WEIR_PORT_DHCPV6_SERVER = 547,
};

/* A UDP packet by which the endpoint gets its address, from or to addresses that only such a packet may have. */
WEIR_INLINE bool weir_is_dhcp(struct weir_packet *packet, const struct weir_endpoint *endpoint, int direction)
{
	const weir_u8 *source = weir_source(packet, direction), *destination = weir_destination(packet, direction);
	weir_u16 client_be, server_be;

	if (!(weir_options & WEIR_OPTION_DHCP) && !weir_is_host(endpoint))
		return false;
	if (packet->key.protocol != IPPROTO_UDP)
		return false;
	client_be = packet->family == WEIR_IPV4 ? bpf_htons(WEIR_PORT_DHCP_CLIENT) : bpf_htons(WEIR_PORT_DHCPV6_CLIENT);
	server_be = packet->family == WEIR_IPV4 ? bpf_htons(WEIR_PORT_DHCP_SERVER) : bpf_htons(WEIR_PORT_DHCPV6_SERVER);
	if (packet->key.local_port_be != client_be || packet->key.remote_port_be != server_be)
		return false;
	if (packet->family == WEIR_IPV4) {
		bool broadcast = weir_ipv4_broadcast(weir_word_at(destination, 3));

		if (direction == WEIR_EGRESS)
			return broadcast && (!weir_word_at(source, 3) || weir_own(endpoint, WEIR_IPV4, source));
		return broadcast || weir_own(endpoint, WEIR_IPV4, destination);
	}
	if (direction == WEIR_EGRESS) /* ff02::1:2, all agents */
		return weir_ipv6_link_local(source) && weir_word_at(destination, 0) == bpf_htonl(0xff020000) &&
		       !weir_word_at(destination, 1) && !weir_word_at(destination, 2) &&
		       weir_word_at(destination, 3) == bpf_htonl(0x00010002);
	return weir_ipv6_link_local(source) && weir_ipv6_link_local(destination);
}

/* Link control that may pass below policy; the addresses were checked before, but for a `::` source. */
WEIR_INLINE int weir_check_link_control(struct __sk_buff *skb, struct weir_packet *packet,
					const struct weir_endpoint *endpoint, int direction)
{
	weir_u8 type = packet->icmp_type;
	weir_u32 needed;

	if (packet->first_fragment)
		return WEIR_REASON_NEIGHBOUR_DISCOVERY; /* RFC 6980 */
	if (!packet->neighbour)
		return packet->hop_limit == 1 ? WEIR_REASON_NONE : WEIR_REASON_NEIGHBOUR_DISCOVERY;

	needed = type == WEIR_ND_ROUTER_SOLICITATION ? 8
		 : type == WEIR_ND_ROUTER_ADVERTISEMENT ? 16
		 : type == WEIR_ND_REDIRECT ? 40
					    : 24;
	if (packet->hop_limit != 255 || packet->end - packet->l4 < needed)
		return WEIR_REASON_NEIGHBOUR_DISCOVERY;
	if (direction == WEIR_INGRESS || weir_is_host(endpoint))
		return WEIR_REASON_NONE;
	if (type == WEIR_ND_ROUTER_ADVERTISEMENT || type == WEIR_ND_REDIRECT)
		return WEIR_REASON_ROUTER_CONTROL;
	if (type == WEIR_ND_NEIGHBOUR_ADVERTISEMENT) {
		struct weir_words4 target = {};
		const weir_u8 *address = (const weir_u8 *)&target;

		if (!WEIR_LOAD(skb, packet->l4 + WEIR_ND_TARGET_OFFSET, &target) ||
		    !(weir_own(endpoint, WEIR_IPV6, address) || weir_ipv6_link_local(address)))
			return WEIR_REASON_NEIGHBOUR_DISCOVERY;
		if (weir_ipv6_unspecified(packet->key.local))
			return WEIR_REASON_SOURCE_ADDRESS;
	}
	return WEIR_REASON_NONE;
}

#endif
