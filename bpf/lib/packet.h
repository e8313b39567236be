/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the walk knows of one packet, and how its bytes are read. */
#ifndef WEIR_PACKET_H
#define WEIR_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../abi/weir_abi.h"

#define WEIR_INLINE static __always_inline

enum { WEIR_IPV4 = 4, WEIR_IPV6 = 6 };

/* Offsets to which the verifier follows a packet pointer with room for a header behind. */
enum { WEIR_LINEAR_MAX = 0x7fff };

enum {
	WEIR_TCP_FIN = 0x01,
	WEIR_TCP_SYN = 0x02,
	WEIR_TCP_RST = 0x04,
	WEIR_TCP_ACK = 0x10,
};

/*
 * A flow as the endpoint sees it, of either family: `local` is its side. IPv4 addresses are
 * v4-mapped. What the conntrack keys are made of.
 */
struct weir_tuple {
	weir_u32 interface;
	weir_u8 remote[16];
	weir_u8 local[16];
	weir_u16 remote_port_be;
	weir_u16 local_port_be;
	weir_u8 protocol;
};

/* One packet. Everything is zero until its step of the walk has read it. */
struct weir_packet {
	/* The program's direction, a constant, says which side is the source. Ports of an ICMP echo are its id. */
	struct weir_tuple key;
	weir_u32 l3;  /* offset of the IP header in the frame */
	weir_u32 l4;  /* and of the L4 header */
	weir_u32 end; /* of the IP packet in the frame; padding lies behind it */
	weir_u32 fragment_id_be;
	weir_u32 fragment_payload; /* offset of a fragment's payload in the frame */
	weir_u16 fragment_at;      /* and in its datagram */
	weir_u16 tcp_header;       /* bytes */
	weir_u16 port_be; /* that policy asks for: destination port, ICMP type or 0 */
	weir_u8 family;
	weir_u8 hop_limit;
	weir_u8 tcp_flags;
	weir_u8 icmp_type;
	bool icmp;         /* ICMP over IPv4 or ICMPv6 over IPv6 */
	bool echo;         /* request or reply */
	bool echo_reply;
	bool opens;        /* TCP SYN without ACK or an echo request: never a reply */
	bool neighbour;    /* ND, where link control passes below policy */
	bool link_control; /* ND or MLD, likewise */
	bool first_fragment;
	bool later_fragment;
	weir_u8 direction; /* of the program, for steps that do not have it as a constant */
};

/* What one packet sees of the node: read once, so that a commit falls between two packets. */
struct weir_view {
	weir_u64 revision;
	weir_u32 slot;
	weir_u32 now; /* in ticks */
	bool audit;   /* of the whole node */
	weir_u32 tunnels[WEIR_TUNNEL_COUNT]; /* as in control */
};

/* A question to policy, about a flow in the direction of its originator, and the answer. */
struct weir_judgement {
	/* The question. */
	weir_u16 port_be; /* that the originator asked for */
	weir_u8 direction;
	weir_u8 peer_class; /* what is known about the peer beyond its address; refined by the answer */
	bool replace;       /* whatever is recorded under the flow's key */
	bool encrypted;     /* the peer is WEIR_PEER_ENCRYPTED, and the packet took a tunnel */
	bool by_host;       /* the answer is the node's, on what an endpoint and it say to each other */
	/* The answer. Zero where policy was not asked. */
	weir_u32 action;
	weir_u32 group;
	weir_u32 identity;
	weir_s32 error; /* of recording the flow */
	weir_u32 flags; /* enum weir_event_flag */
};

/*
 * A step of the walk that the verifier reads once and apart from its callers, instead of once per
 * path that leads to it. Linux 6.1 takes pointers to structs, which may be NULL for all that it
 * knows, and no map keys behind such a pointer: a step copies its keys to its own stack.
 */
#define WEIR_STEP __noinline

/* A step's result besides enum weir_reason: the packet passes, and policy is not asked. */
enum { WEIR_PASSES = 256 };

/* What lies before the IP header: a constant of each program. */
enum weir_link {
	WEIR_LINK_ETHERNET,
	WEIR_LINK_NONE, /* WireGuard, TUN: the packet begins with IP */
};

/* The first bytes of TCP, UDP and SCTP alike. */
struct weir_ports {
	weir_u16 source_be;
	weir_u16 destination_be;
};

/* Bytes 12 and 13 of TCP. */
struct weir_tcp_bits {
	weir_u8 data_offset;
	weir_u8 flags;
};

enum {
	WEIR_TCP_HEADER = 20,
	WEIR_TCP_BITS_OFFSET = 12,
	WEIR_UDP_HEADER = 8,
	WEIR_SCTP_HEADER = 12,
	WEIR_ICMP_HEADER = 8,
	WEIR_ICMPV6_HEADER = 4,
};

/* Words of addresses and keys: byte arrays by declaration, aligned to four by layout. */
typedef weir_u32 __attribute__((may_alias)) weir_word;
struct weir_words4 {
	weir_word word[4];
};

WEIR_INLINE weir_u32 weir_word_at(const weir_u8 *bytes, int index)
{
	return ((const weir_word *)bytes)[index];
}

WEIR_INLINE void weir_set_ipv4(weir_u8 *to, weir_u32 address_be)
{
	weir_word *word = (weir_word *)to;

	word[0] = 0;
	word[1] = 0;
	word[2] = bpf_htonl(0xffff);
	word[3] = address_be;
}

WEIR_INLINE void weir_set_ipv6(weir_u8 *to, const void *address)
{
	*(struct weir_words4 *)to = *(const struct weir_words4 *)address;
}

WEIR_INLINE bool weir_same_ipv6(const weir_u8 *left, const weir_u8 *right)
{
	return weir_word_at(left, 0) == weir_word_at(right, 0) && weir_word_at(left, 1) == weir_word_at(right, 1) &&
	       weir_word_at(left, 2) == weir_word_at(right, 2) && weir_word_at(left, 3) == weir_word_at(right, 3);
}

WEIR_INLINE weir_u8 *weir_source(struct weir_packet *packet, int direction)
{
	return direction == WEIR_EGRESS ? packet->key.local : packet->key.remote;
}

WEIR_INLINE weir_u8 *weir_destination(struct weir_packet *packet, int direction)
{
	return direction == WEIR_EGRESS ? packet->key.remote : packet->key.local;
}

/*
 * Reads a header at `at`; false where the packet is shorter. Bytes outside the linear part are
 * copied rather than pulled: pulling may fail for lack of memory, unshares a cloned packet
 * and moves every pointer.
 */
#define WEIR_READ(skb, at, to)                                                             \
	({                                                                                 \
		weir_u32 at_ = (at);                                                       \
		bool read_ = false;                                                        \
		if (at_ <= WEIR_LINEAR_MAX) {                                              \
			const void *from_ = (const void *)(long)(skb)->data + at_;         \
			if (from_ + sizeof(*(to)) <= (const void *)(long)(skb)->data_end) { \
				*(to) = *(const __typeof__(*(to)) *)from_;                 \
				read_ = true;                                              \
			}                                                                  \
		}                                                                          \
		read_ || !bpf_skb_load_bytes(skb, at_, to, sizeof(*(to)));                 \
	})

/* The same for the rare paths, at any offset. */
#define WEIR_LOAD(skb, at, to) (!bpf_skb_load_bytes(skb, at, to, sizeof(*(to))))

#endif
