/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The one definition of every byte that weir's programs, loader and emulator share.
 *
 * No includes, fixed-width types, no bit-fields, no implicit padding: every size and
 * offset is asserted below. Fields named `*_be` are in network byte order; all other
 * integers are in host byte order. Addresses are byte arrays in network order, except
 * where they are a hash key of exactly four bytes, which is the same thing in memory.
 */
#ifndef WEIR_ABI_H
#define WEIR_ABI_H

typedef __UINT8_TYPE__ weir_u8;
typedef __UINT16_TYPE__ weir_u16;
typedef __UINT32_TYPE__ weir_u32;
typedef __UINT64_TYPE__ weir_u64;
typedef __INT32_TYPE__ weir_s32;

/* Changes whenever a layout or the meaning of a field changes. */
enum { WEIR_ABI_VERSION = 2 };

/* Direction as the endpoint sees it. Also the index of a program and of a counter. */
enum weir_direction {
	WEIR_EGRESS = 0,  /* from the endpoint: ingress hook of its host-side interface */
	WEIR_INGRESS = 1, /* to the endpoint: egress hook of its host-side interface */
};

/*
 * control[0]: policy revision in the low 56 bits, flags above. The low bit of the revision
 * is the active slot. Revision 0 means that no policy was ever committed: programs pass.
 */
struct weir_control {
	weir_u64 word;
};
enum {
	WEIR_REVISION_BITS = 56,
	WEIR_SLOT_COUNT = 2,
};

/* Peer groups with a fixed number. Group 0 is a row's default, never a peer. */
enum weir_group {
	WEIR_GROUP_DEFAULT = 0,
	WEIR_GROUP_HOST = 1,         /* this node; for ingress: not forwarded (ingress_ifindex 0) */
	WEIR_GROUP_MASQUERADED = 2,  /* a node-owned source on a forwarded packet */
	WEIR_GROUP_UNKNOWN_POD = 3,  /* inside a pod network, not in the inventory */
	WEIR_GROUP_MULTICAST = 4,    /* multicast and broadcast destinations */
	WEIR_GROUP_WORLD_IPV4 = 5,
	WEIR_GROUP_WORLD_IPV6 = 6,
	WEIR_GROUP_FIRST_COMPILED = 7,
};

/*
 * An action is one word: its kind in the top two bits, an id below. TABLE names a verdict
 * table; the others name the rule attribution that decided (0: no rule).
 */
enum weir_action_kind {
	WEIR_ACTION_TABLE = 0,
	WEIR_ACTION_ALLOW = 1,
	WEIR_ACTION_DENY = 2,
	WEIR_ACTION_DEFAULT_DENY = 3,
};
enum {
	WEIR_ACTION_KIND_SHIFT = 30,
	WEIR_ACTION_ID_MASK = 0x3fffffff,
};

/* endpoints: interface index (weir_u32) -> this. Rows are indices into `peers`. */
struct weir_endpoint {
	weir_u32 id; /* dense within an image, from 1 */
	weir_u32 egress_row;
	weir_u32 ingress_row;
	weir_u32 flags; /* enum weir_endpoint_flag */
	weir_u8 ipv4[4];
	weir_u8 ipv6[16];
};
enum weir_endpoint_flag {
	WEIR_ENDPOINT_HAS_IPV4 = 1,
	WEIR_ENDPOINT_HAS_IPV6 = 2,
	WEIR_ENDPOINT_HOST = 4, /* the node itself: any of its addresses, peers as they are */
};

/* ipcache4/6 and cidrs4/6 value. */
struct weir_peer {
	weir_u32 group;
	weir_u32 identity; /* index into the image's identity names; for people only */
	weir_u32 flags;    /* enum weir_peer_flag */
};
enum weir_peer_flag {
	WEIR_PEER_NODE = 1, /* an address of a node: no overlay traffic may go there */
	WEIR_PEER_OWN_NODE = 2, /* of this node: a forwarded packet has only borrowed it */
};

/* ipcache4 and ipcache6 keys. */
struct weir_address4 {
	weir_u8 bytes[4];
};
struct weir_address6 {
	weir_u8 bytes[16];
};

/* cidrs4 and cidrs6 keys (LPM). Host bits are zero. */
struct weir_cidr4 {
	weir_u32 prefix_length; /* 0...32 */
	weir_u8 bytes[4];
};
struct weir_cidr6 {
	weir_u32 prefix_length; /* 0...128 */
	weir_u8 bytes[16];
};

/*
 * peers: array, index = row + group -> action (weir_u32). Element `row + 0` is the action
 * for whatever a verdict table of that row leaves open; it is never TABLE.
 *
 * verdicts: LPM, this key -> action (weir_u32, never TABLE). For ICMP and ICMPv6 the port is
 * the type. Prefix length 32 is any protocol, 40 any port of a protocol, up to 56 one port.
 */
struct weir_verdict_key {
	weir_u32 prefix_length; /* 32...56 */
	weir_u32 table;         /* from 1 */
	weir_u8 protocol;
	weir_u8 port_be[2];
	weir_u8 zero;
};
enum {
	WEIR_VERDICT_PREFIX_ANY = 32,
	WEIR_VERDICT_PREFIX_PROTOCOL = 40,
	WEIR_VERDICT_PREFIX_PORT = 56,
};

/*
 * conntrack and conntrack_new (LRU hash). One key for both directions of a flow: `local` is
 * the endpoint's side. IPv4 addresses are stored v4-mapped (::ffff:a.b.c.d); such addresses
 * are refused on the wire, so the two families cannot meet. For ICMP echo both ports are the
 * identifier. The interface index stands for the endpoint: ids change with the image, and a
 * reused pod address comes with a new interface.
 */
struct weir_conntrack_key {
	weir_u32 ifindex;
	weir_u8 remote[16];
	weir_u8 local[16];
	weir_u16 remote_port_be;
	weir_u16 local_port_be;
	weir_u8 protocol;
	weir_u8 zero[3];
};
struct weir_conntrack {
	weir_u64 packets;
	weir_u64 bytes;
	weir_u32 key_check; /* hash of the key: a node may be recycled under a reader */
	weir_u32 revision;  /* low 32 bits of the policy revision that allowed it */
	weir_u32 action;
	weir_u32 expires;   /* in ticks of 2^30 ns of the coarse monotonic clock */
	weir_u8 direction;  /* enum weir_direction of the originator's packets */
	weir_u8 flags;      /* enum weir_conntrack_flag */
	weir_u8 peer_class; /* enum weir_peer_class at creation, for judging again */
	weir_u8 zero[5];
};
enum weir_conntrack_flag {
	WEIR_CT_REPLY_SEEN = 1,
	WEIR_CT_CLOSING = 2,   /* RST, or FIN seen */
	WEIR_CT_MIDSTREAM = 4, /* TCP, not created by a SYN: its reply direction is judged by itself */
};
enum weir_peer_class {
	WEIR_PEER_BY_ADDRESS = 0,
	WEIR_PEER_HOST = 1,
	WEIR_PEER_MASQUERADED = 2,
};
enum {
	WEIR_TICK_SHIFT = 30,
	WEIR_TIMEOUT_TCP_NEW = 60, /* all in ticks */
	WEIR_TIMEOUT_TCP = 21600,
	WEIR_TIMEOUT_TCP_CLOSING = 10,
	WEIR_TIMEOUT_NEW = 30,     /* anything else before a reply */
	WEIR_TIMEOUT = 180,        /* anything else after a reply */
	WEIR_CONNTRACK_ENTRIES = 131072,
	WEIR_CONNTRACK_NEW_ENTRIES = 65536,
};

/* Per-rule counters and per-reason drops. */
struct weir_counter {
	weir_u64 packets;
	weir_u64 bytes;
};

/*
 * slot_meta: array of WEIR_SLOT_COUNT. Written last, when the slot is complete.
 * rule_counters is an array, index = cpu * rule_stride + rule.
 */
struct weir_slot_meta {
	weir_u8 image_digest[32]; /* SHA-256 of the canonical image */
	weir_u8 node_digest[32];  /* SHA-256 of the node-local part (interfaces, host addresses) */
	weir_u64 generation;      /* of the inventory */
	weir_u32 state;           /* enum weir_slot_state */
	weir_u32 rule_stride;
	weir_u32 abi_version;
	weir_u32 cpu_count;
};
enum weir_slot_state {
	WEIR_SLOT_EMPTY = 0,
	WEIR_SLOT_BUILDING = 1,
	WEIR_SLOT_READY = 2,
};

/* Why a packet was dropped. The value indexes `drops`: reason * 2 + direction. */
enum weir_reason {
	WEIR_REASON_NONE = 0,
	WEIR_REASON_POLICY_DENY = 1,
	WEIR_REASON_POLICY_DEFAULT_DENY = 2,
	WEIR_REASON_NO_SLOT = 3,             /* the active slot or its endpoint map is missing */
	WEIR_REASON_NO_VERDICT = 4,          /* a lookup that the compiler guarantees missed */
	WEIR_REASON_TRUNCATED = 5,
	WEIR_REASON_UNKNOWN_ETHERTYPE = 6,
	WEIR_REASON_VLAN = 7,
	WEIR_REASON_FRAGMENT = 8,
	WEIR_REASON_IP_HEADER = 9,           /* malformed: version, header length, total length */
	WEIR_REASON_IPV4_SOURCE_ROUTE = 10,
	WEIR_REASON_IPV6_EXTENSION = 11,     /* malformed, or more than eight */
	WEIR_REASON_IPV6_ROUTING = 12,       /* a routing header with segments left */
	WEIR_REASON_SOURCE_ADDRESS = 13,     /* from a pod, not its own */
	WEIR_REASON_ARP = 14,                /* malformed, or sender not the pod's own */
	WEIR_REASON_NEIGHBOUR_DISCOVERY = 15,/* malformed, hop limit, or target not the pod's own */
	WEIR_REASON_ROUTER_CONTROL = 16,     /* router advertisement or redirect from a pod */
	WEIR_REASON_LINK_LOCAL = 17,
	WEIR_REASON_V4_MAPPED = 18,
	WEIR_REASON_MARTIAN_SOURCE = 19,     /* loopback, multicast or broadcast source */
	WEIR_REASON_OVERLAY = 20,            /* overlay traffic from a pod to a node */
	WEIR_REASON_NOT_FOR_ENDPOINT = 21,   /* to a pod, not its address; no event */
	WEIR_REASON_CONNTRACK_INSERT = 22,   /* allowed, but the flow could not be recorded */
	WEIR_REASON_L4_HEADER = 23,          /* malformed or short L4 header */
	WEIR_REASON_COUNT = 24,
};
enum { WEIR_DROPS_ENTRIES = WEIR_REASON_COUNT * 2 };

/* One record of the `events` ring buffer. */
struct weir_event {
	weir_u64 time_ns; /* CLOCK_MONOTONIC */
	weir_u32 ifindex;
	weir_u32 group;
	weir_u32 identity;
	weir_u32 action; /* 0 where policy was not asked */
	weir_u32 length; /* of the packet, bytes */
	weir_s32 error;  /* negative errno of a failed conntrack insert, else 0 */
	weir_u16 source_port_be;
	weir_u16 destination_port_be; /* ICMP: the type, in network order */
	weir_u8 direction;
	weir_u8 reason; /* enum weir_reason; NONE for an allow event */
	weir_u8 protocol;
	weir_u8 family; /* 4, 6 or 0 where not parsed */
	weir_u8 source[16]; /* IPv4 v4-mapped */
	weir_u8 destination[16];
};
enum { WEIR_EVENTS_BYTES = 262144 };

/* Read-only settings of a loaded object, fixed before the verifier sees it. */
enum weir_option {
	WEIR_OPTION_DROP_EVENTS = 1,
	WEIR_OPTION_ALLOW_EVENTS = 2,
	WEIR_OPTION_CONNTRACK = 4,
	WEIR_OPTION_LINK_CONTROL = 8, /* ND and MLD pass below policy; without it they are judged */
	WEIR_OPTION_OVERLAY_GUARD = 16,
	WEIR_OPTION_DEFAULTS = 1 | 4 | 8 | 16,
};

#define WEIR_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " changed size")
#define WEIR_ASSERT_AT(type, field, offset) \
	_Static_assert(__builtin_offsetof(type, field) == (offset), #type "." #field " moved")

WEIR_ASSERT_SIZE(struct weir_control, 8);
WEIR_ASSERT_SIZE(struct weir_endpoint, 36);
WEIR_ASSERT_AT(struct weir_endpoint, egress_row, 4);
WEIR_ASSERT_AT(struct weir_endpoint, ingress_row, 8);
WEIR_ASSERT_AT(struct weir_endpoint, flags, 12);
WEIR_ASSERT_AT(struct weir_endpoint, ipv4, 16);
WEIR_ASSERT_AT(struct weir_endpoint, ipv6, 20);
WEIR_ASSERT_SIZE(struct weir_peer, 12);
WEIR_ASSERT_AT(struct weir_peer, identity, 4);
WEIR_ASSERT_AT(struct weir_peer, flags, 8);
WEIR_ASSERT_SIZE(struct weir_address4, 4);
WEIR_ASSERT_SIZE(struct weir_address6, 16);
WEIR_ASSERT_SIZE(struct weir_cidr4, 8);
WEIR_ASSERT_AT(struct weir_cidr4, bytes, 4);
WEIR_ASSERT_SIZE(struct weir_cidr6, 20);
WEIR_ASSERT_AT(struct weir_cidr6, bytes, 4);
WEIR_ASSERT_SIZE(struct weir_verdict_key, 12);
WEIR_ASSERT_AT(struct weir_verdict_key, table, 4);
WEIR_ASSERT_AT(struct weir_verdict_key, protocol, 8);
WEIR_ASSERT_AT(struct weir_verdict_key, port_be, 9);
WEIR_ASSERT_AT(struct weir_verdict_key, zero, 11);
WEIR_ASSERT_SIZE(struct weir_conntrack_key, 44);
WEIR_ASSERT_AT(struct weir_conntrack_key, remote, 4);
WEIR_ASSERT_AT(struct weir_conntrack_key, local, 20);
WEIR_ASSERT_AT(struct weir_conntrack_key, remote_port_be, 36);
WEIR_ASSERT_AT(struct weir_conntrack_key, local_port_be, 38);
WEIR_ASSERT_AT(struct weir_conntrack_key, protocol, 40);
WEIR_ASSERT_AT(struct weir_conntrack_key, zero, 41);
WEIR_ASSERT_SIZE(struct weir_conntrack, 40);
WEIR_ASSERT_AT(struct weir_conntrack, bytes, 8);
WEIR_ASSERT_AT(struct weir_conntrack, key_check, 16);
WEIR_ASSERT_AT(struct weir_conntrack, revision, 20);
WEIR_ASSERT_AT(struct weir_conntrack, action, 24);
WEIR_ASSERT_AT(struct weir_conntrack, expires, 28);
WEIR_ASSERT_AT(struct weir_conntrack, direction, 32);
WEIR_ASSERT_AT(struct weir_conntrack, flags, 33);
WEIR_ASSERT_AT(struct weir_conntrack, peer_class, 34);
WEIR_ASSERT_AT(struct weir_conntrack, zero, 35);
WEIR_ASSERT_SIZE(struct weir_counter, 16);
WEIR_ASSERT_SIZE(struct weir_slot_meta, 88);
WEIR_ASSERT_AT(struct weir_slot_meta, node_digest, 32);
WEIR_ASSERT_AT(struct weir_slot_meta, generation, 64);
WEIR_ASSERT_AT(struct weir_slot_meta, state, 72);
WEIR_ASSERT_AT(struct weir_slot_meta, rule_stride, 76);
WEIR_ASSERT_AT(struct weir_slot_meta, abi_version, 80);
WEIR_ASSERT_AT(struct weir_slot_meta, cpu_count, 84);
WEIR_ASSERT_SIZE(struct weir_event, 72);
WEIR_ASSERT_AT(struct weir_event, ifindex, 8);
WEIR_ASSERT_AT(struct weir_event, group, 12);
WEIR_ASSERT_AT(struct weir_event, identity, 16);
WEIR_ASSERT_AT(struct weir_event, action, 20);
WEIR_ASSERT_AT(struct weir_event, length, 24);
WEIR_ASSERT_AT(struct weir_event, error, 28);
WEIR_ASSERT_AT(struct weir_event, source_port_be, 32);
WEIR_ASSERT_AT(struct weir_event, destination_port_be, 34);
WEIR_ASSERT_AT(struct weir_event, direction, 36);
WEIR_ASSERT_AT(struct weir_event, reason, 37);
WEIR_ASSERT_AT(struct weir_event, protocol, 38);
WEIR_ASSERT_AT(struct weir_event, family, 39);
WEIR_ASSERT_AT(struct weir_event, source, 40);
WEIR_ASSERT_AT(struct weir_event, destination, 56);

#endif
